"""Evolution on known problems, by CMA-ES and by another; killed and resumed or never killed."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from wm.control.training.cma_es import CmaEsSettings, Phase, PhasedCmaEs
from wm.control.training.directions import coordinates
from wm.control.training.evolution import Row, Validated, best, evolve, summary
from wm.control.training.optimizer import Optimizer
from wm.control.training.tracks import Drives
from wm.core.errors import UserError
from wm.runtime.checkpoint import Checkpoint

TARGET = np.array([0.5, -1.0, 2.0, 0.25])


def only(active: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda mean: coordinates(active)


ALL = only(np.full(4, True))


def phase(
    generations: int,
    population: int,
    sigma: float,
    directions: Callable[[np.ndarray], np.ndarray],
    final_sigma: float | None = None,
    mean_rate: float = 1.0,
    mirrored: bool = False,
) -> Phase:
    settings = CmaEsSettings(
        generations=generations,
        population=population,
        sigma=sigma,
        final_sigma=final_sigma,
        mean_rate=mean_rate,
        mirrored=mirrored,
    )
    return Phase(settings, directions)


def quadratic(solutions: np.ndarray) -> np.ndarray:
    scales = np.array([1.0, 10.0, 3.0, 0.5])
    return -(scales * np.square(solutions - TARGET)).sum(axis=1)


def run(
    name: str,
    generations: int = 60,
    kill_at: int | None = None,
    phases: list[Phase] | None = None,
    weight_decay: float = 0.0,
    seed: int = 3,
    optimizer: Optimizer | None = None,
) -> tuple[np.ndarray, list[Row], list[int]]:
    """Evolves in the checkpoint `name`; returns also the generations that were evaluated.

    Without `optimizer` by CMA-ES in `phases`, which are one of `generations` if they are not given.
    """
    evaluated: list[int] = []

    def drive(solutions: np.ndarray, earlier: Sequence[Drives]) -> Drives:
        generation = len(earlier)
        if generation == kill_at:
            raise KeyboardInterrupt
        evaluated.append(generation)
        np.random.seed(generation)
        return Drives([generation], quadratic(solutions)[:, None].tolist())

    if optimizer is None:
        phases = phases or [phase(generations, 10, 0.5, ALL)]
        optimizer = PhasedCmaEs(np.zeros(4), phases, seed=seed)
        generations = sum(phase.settings.generations for phase in phases)
    with Checkpoint("evolution", {"name": name}, []) as checkpoint:
        validated, rows = evolve(
            optimizer,
            drive,
            lambda mean: float(quadratic(mean[None])[0]),
            generations=generations,
            validate_every=7,
            weight_decay=weight_decay,
            checkpoint=checkpoint,
            title="test",
        )
    return best(validated).vector, rows, evaluated


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def test_it_solves_a_shifted_quadratic() -> None:
    mean, rows, _ = run("a", generations=100)
    np.testing.assert_allclose(mean, TARGET, atol=0.02)
    assert [row["generation"] for row in rows] == list(range(1, 101))
    assert summary(rows)["validation_best"] == max(
        row["validation"] for row in rows if row["validation"] is not None
    )


def test_how_a_python_sums_floats_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 3.12 on, `sum` makes up for what a step rounds away."""

    def searched() -> list[np.ndarray]:
        optimizer = PhasedCmaEs(np.zeros(4), [phase(5, 48, 0.5, ALL, mirrored=True)], seed=0)
        means = []
        for _ in range(5):
            optimizer.tell(-quadratic(optimizer.ask()))
            means.append(optimizer.mean)
        return means

    def compensated(values: Iterable[float], start: float = 0) -> float:
        numbers = list(values)
        floats = any(type(number) is float for number in numbers)
        return math.fsum(numbers) + start if floats else of_this_python(numbers, start)

    of_this_python = sum
    before = searched()
    monkeypatch.setattr(builtins, "sum", compensated)
    np.testing.assert_array_equal(searched(), before)


def test_the_best_validated_mean_is_returned() -> None:
    mean, rows, _ = run("b", generations=16)
    validations = {row["generation"]: row["validation"] for row in rows if row["validation"]}
    assert sorted(validations) == [7, 14, 16]
    assert quadratic(mean[None])[0] == max(validations.values())  # type: ignore[type-var]


def test_nothing_is_driven_before_it_is_asked() -> None:
    """Where a phase's directions come from episodes, they are driven inside the checkpoint."""
    begun: list[np.ndarray] = []

    def directions(mean: np.ndarray) -> np.ndarray:
        begun.append(mean)
        return np.eye(4)

    optimizer = PhasedCmaEs(TARGET, [phase(1, 10, 0.5, directions)], seed=0)
    assert not begun
    optimizer.ask()
    assert (begun[0] == TARGET).all()


def test_a_step_that_falls_falls_by_the_same_factor_each_generation() -> None:
    falling = [phase(4, 10, 0.5, ALL), phase(5, 10, 0.3, ALL, final_sigma=0.0048)]
    steps = [row["sigma"] for row in run("falls", phases=falling)[1]]
    assert steps[4:] == pytest.approx([0.3, 0.3 / 2.8117, 0.3 / 7.9057, 0.0135, 0.0048], rel=1e-3)
    adapted = [row["sigma"] for row in run("adapts", phases=[phase(4, 10, 0.5, ALL)])[1]]
    assert steps[:4] == adapted
    one = [phase(1, 10, 0.3, ALL, final_sigma=0.1)]
    assert run("one generation", phases=one)[1][0]["sigma"] == 0.3


def test_the_mean_goes_its_share_of_the_way_to_the_selected() -> None:
    moved = []
    for rate in (1.0, 0.25):
        optimizer = PhasedCmaEs(np.zeros(4), [phase(2, 10, 0.3, ALL, mean_rate=rate)], seed=0)
        optimizer.ask()
        optimizer.tell(np.arange(10.0))
        moved.append(optimizer.mean)
    assert np.abs(moved[0]).max() > 0.01
    assert moved[1] == pytest.approx(0.25 * moved[0])


def test_the_worse_half_pushes_as_hard_as_the_better_half_pulls() -> None:
    optimizer = PhasedCmaEs(np.zeros(4), [phase(2, 10, 0.3, ALL, mirrored=True)], seed=0)
    asked = optimizer.ask()
    optimizer.tell(np.arange(10.0) ** 3)
    # Hansen 2016, equations 49 to 53, of a population of twenty: solutions and images, by rank
    weights = math.log(10.5) - np.log(np.arange(1, 11))
    weights /= weights.sum()
    ranked = np.stack([asked[:5], -asked[:4:-1]], axis=1).reshape(10, 4)
    np.testing.assert_allclose(optimizer.mean, weights @ ranked, rtol=1e-9)


def test_mirrored_solutions_wander_less_where_luck_decides() -> None:
    size = 100
    every, distances = only(np.full(size, True)), []
    for mirrored in (False, True):
        optimizer = PhasedCmaEs(
            np.zeros(size), [phase(20, 32, 0.1, every, 0.1, mirrored=mirrored)], 0
        )
        luck = np.random.default_rng(0)
        for _ in range(20):
            optimizer.tell(luck.normal(size=len(optimizer.ask())))
        distances.append(np.square(optimizer.mean).sum())
    assert distances[1] < 0.75 * distances[0]


def test_the_next_solutions_lie_a_step_away() -> None:
    widths = []
    for final in (0.3, 1e-4):
        optimizer = PhasedCmaEs(np.zeros(4), [phase(2, 10, 0.3, ALL, final)], seed=0)
        optimizer.ask()
        optimizer.tell(np.arange(10.0))
        widths.append(np.abs(optimizer.ask() - optimizer.mean).mean())
    assert widths[1] < widths[0] / 1000


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("kill_at", [1, 9])
def test_killed_and_resumed_is_bitwise_uninterrupted(kill_at: int, mirrored: bool) -> None:
    phases = [phase(15, 10, 0.5, ALL, mirrored=mirrored)]
    whole, whole_rows, _ = run("c", phases=phases)
    with pytest.raises(KeyboardInterrupt):
        run("d", phases=phases, kill_at=kill_at)
    resumed, resumed_rows, evaluated = run("d", phases=phases)
    assert evaluated == list(range(kill_at, 15))
    assert (resumed == whole).all()
    assert resumed_rows == whole_rows


def test_a_phase_leaves_the_rest_alone_and_the_next_goes_on_from_it() -> None:
    half = np.array([True, False, True, False])
    first, rows, _ = run("half", phases=[phase(60, 10, 0.5, only(half))])
    np.testing.assert_allclose(first[half], TARGET[half], atol=0.05)
    assert (first[~half] == 0).all()
    phases = [phase(60, 10, 0.5, only(half)), phase(80, 10, 0.3, ALL)]
    both, all_rows, _ = run("both", phases=phases)
    np.testing.assert_allclose(both, TARGET, atol=0.05)
    assert [row["generation"] for row in all_rows] == list(range(1, 141))
    assert [row["mean"] for row in all_rows[:60]] == [row["mean"] for row in rows]
    # goes on from there: no worse at once than where the first phase ended, up to its step size
    assert all_rows[60]["best"] > rows[-1]["mean"] - 1.0


def test_a_kill_in_a_later_phase_is_bitwise_uninterrupted() -> None:
    half = np.array([True, False, True, False])
    phases = [phase(4, 10, 0.5, only(half)), phase(6, 8, 0.3, ALL)]
    whole, whole_rows, _ = run("m", phases=phases)
    with pytest.raises(KeyboardInterrupt):
        run("n", phases=phases, kill_at=7)
    resumed, resumed_rows, evaluated = run("n", phases=phases)
    assert evaluated == [7, 8, 9]
    assert (resumed == whole).all()
    assert resumed_rows == whole_rows


def test_the_seed_is_all_that_chance_hangs_on_and_the_global_generator_is_left_alone() -> None:
    np.random.seed(5)
    first = run("e", generations=5)[0]
    assert (first == run("f", generations=5)[0]).all()
    assert (first != run("g", generations=5, seed=4)[0]).any()
    assert (first != run("h", generations=5, seed=0)[0]).any()
    assert (run("i", generations=5, seed=0)[0] == run("j", generations=5, seed=0)[0]).all()


def test_weight_decay_pulls_towards_zero() -> None:
    free, decayed = run("k", generations=80)[0], run("l", generations=80, weight_decay=20.0)[0]
    assert np.abs(decayed).sum() < 0.8 * np.abs(free).sum()


def alike(
    fitness: float, generations: int, checkpoint: Checkpoint
) -> tuple[list[Validated], list[Row]]:
    """Evolves candidates that all have this fitness."""
    phases = [phase(generations, 8, 0.1, ALL)]
    return evolve(
        PhasedCmaEs(np.zeros(4), phases, seed=0),
        lambda solutions, earlier: Drives([0, 1], np.full((len(solutions), 2), fitness).tolist()),
        lambda mean: fitness,
        generations=generations,
        validate_every=1,
        weight_decay=0.0,
        checkpoint=checkpoint,
        title="test",
    )


def test_a_fitness_that_is_not_finite_is_a_user_error() -> None:
    with Checkpoint("evolution", {"name": "nan"}, []) as checkpoint:
        with pytest.raises(UserError, match="fitness of generation 1 is not finite"):
            alike(np.nan, 2, checkpoint)
        assert checkpoint.load() is None


def test_a_population_whose_cars_all_crash_alike_tells_nothing_and_does_no_harm() -> None:
    with Checkpoint("evolution", {"name": "flat"}, []) as checkpoint:
        validated, rows = alike(-100.0, 200, checkpoint)
    assert len(rows) == 200
    assert best(validated) is validated[0]  # the earliest of equals
    assert all(np.isfinite(mean.vector).all() for mean in validated)
    assert all(0 < row["sigma"] < 10 for row in rows)


class OneCommaEight:
    """A (1, 8) evolution strategy: the best of 8 children is the next parent."""

    population = 8

    def __init__(self, start: np.ndarray, seed: int) -> None:
        self.mean, self.sigma = start, 0.5
        self._generator = np.random.default_rng(seed)

    def ask(self) -> np.ndarray:
        self._children = self.mean + self.sigma * self._generator.normal(size=(8, len(self.mean)))
        return self._children

    def tell(self, cost: np.ndarray) -> None:
        self.mean = self._children[cost.argmin()]
        self.sigma *= 0.97


def test_another_optimizer_is_evolved_too() -> None:
    mean, rows, evaluated = run("one comma eight", 120, optimizer=OneCommaEight(np.zeros(4), 0))
    np.testing.assert_allclose(mean, TARGET, atol=0.1)
    assert evaluated == list(range(120))
    assert [row["sigma"] for row in rows] == pytest.approx([0.5 * 0.97**n for n in range(1, 121)])


@pytest.mark.parametrize("kill_at", [1, 9])
def test_another_optimizer_resumes_bitwise_too(kill_at: int) -> None:
    whole, whole_rows, _ = run("whole", 15, optimizer=OneCommaEight(np.zeros(4), 0))
    with pytest.raises(KeyboardInterrupt):
        run("cut", 15, kill_at, optimizer=OneCommaEight(np.zeros(4), 0))
    resumed, resumed_rows, evaluated = run("cut", 15, optimizer=OneCommaEight(np.zeros(4), 0))
    assert evaluated == list(range(kill_at, 15))
    assert (resumed == whole).all()
    assert resumed_rows == whole_rows
