import ast
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from verify.workspace import ROOT
from wm.core import seeding

WORDS = st.from_regex("[a-z_ ]{1,8}", fullmatch=True)
NAMES = st.tuples(
    st.integers(0, 2**63 - 1), WORDS, WORDS, st.lists(st.integers(0, 2**32), max_size=3)
)


def drawn(seed: int, stage: str, purpose: str, index: list[int]) -> bytes:
    return seeding.generator(seed, stage, purpose, *index).bytes(16)


@given(first=NAMES, second=NAMES)
def test_a_name_has_one_stream_and_two_names_have_two(first: tuple, second: tuple) -> None:
    assert drawn(*first) == drawn(*first)
    assert (drawn(*first) == drawn(*second)) == (first == second)


def test_neither_zeros_nor_large_seeds_make_two_names_one() -> None:
    # NumPy's SeedSequence pads with zeros, and cuts a large number into words of 32 bits
    names = [(0, "a", "b", []), (0, "a", "b", [0]), (0, "a", "b", [0, 0]), (0, "a", "b", [1]),
             (2**32, "a", "b", []), (1, "a", "b", []), (0, "a", "b", [2**32]),
             (0, "a", "b", [0, 1])]  # fmt: skip
    assert len({drawn(*name) for name in names}) == len(names)  # type: ignore[arg-type]


def test_each_stream_is_drawn_from_at_one_place() -> None:
    """Two places that name one stage and one purpose would draw the same numbers."""
    files = [
        file for folder in ("wm", "stages", "rounds") for file in (ROOT / folder).rglob("*.py")
    ]
    places: Counter[tuple[str, ...]] = Counter()
    for file in files:
        tree = ast.parse(file.read_text())
        for call in ast.walk(tree):
            if isinstance(call, ast.Call):
                function = ast.unparse(call.func)
                if function in ("seeding.generator", "seeding.integer"):
                    places[_stream(file, call)] += 1
                elif function == "self._draw" and call.args:  # of a class that draws for one stage
                    places[file.name, ast.unparse(call.args[0])] += 1
    assert len(places) > 8
    assert set(places.values()) == {1}, places


def _stream(file: Path, call: ast.Call) -> tuple[str, ...]:
    """Stage and purpose as they stand in a call; with its file, where a variable names them."""
    stage, purpose = (ast.unparse(argument) for argument in call.args[1:3])
    literal = stage.startswith("'") and purpose.startswith("'")
    return (stage, purpose) if literal else (file.name, stage, purpose)


def test_no_training_draws_a_track_of_development_or_of_evaluation() -> None:
    integers = [seeding.integer(seed, "s", "track", i) for seed in range(20) for i in range(200)]
    assert max(integers) < seeding.DEVELOPMENT_OFFSET
    assert len(set(integers)) == len(integers)


def test_evaluation_has_none_of_the_tracks_that_defaults_were_chosen_on() -> None:
    development = {seeding.DEVELOPMENT_OFFSET + i for i in range(2**16)}
    assert not development & {seeding.evaluation_seed(i) for i in range(2**16)}


def test_golden() -> None:
    # a change here changes every result of the project: it needs a reason and a new run
    assert seeding.integer(0, "collect", "track", 0) == 775320693
    assert seeding.generator(0, "collect", "track", 0).random() == 0.41446206570974375
