"""CMA-ES on known problems; killed and resumed against never killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wm.errors import UserError
from wm.evolution import Row, evolve, summary
from wm.scratch import Checkpoint

TARGET = np.array([0.5, -1.0, 2.0, 0.25])


def quadratic(generation: int, solutions: np.ndarray) -> np.ndarray:
    scales = np.array([1.0, 10.0, 3.0, 0.5])
    return -(scales * np.square(solutions - TARGET)).sum(axis=1)


def run(
    name: str, generations: int = 60, kill_at: int | None = None, **other: float
) -> tuple[np.ndarray, list[Row], list[int]]:
    """Evolves in the checkpoint `name`; returns also the generations that were evaluated."""
    evaluated: list[int] = []

    def evaluate(generation: int, solutions: np.ndarray) -> np.ndarray:
        if generation == kill_at:
            raise KeyboardInterrupt
        evaluated.append(generation)
        np.random.seed(generation)
        return quadratic(generation, solutions)

    arguments = {
        "sigma": 0.5,
        "population": 10,
        "validate_every": 7,
        "weight_decay": 0.0,
        "seed": 3,
    }
    with Checkpoint("evolution", {"name": name}, []) as checkpoint:
        mean, rows = evolve(
            evaluate,
            lambda mean: float(quadratic(0, mean[None])[0]),
            start=np.zeros(4),
            generations=generations,
            checkpoint=checkpoint,
            title="test",
            **(arguments | other),  # type: ignore[arg-type]
        )
    return mean, rows, evaluated


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


def test_the_best_validated_mean_is_returned() -> None:
    mean, rows, _ = run("b", generations=16)
    validations = {row["generation"]: row["validation"] for row in rows if row["validation"]}
    assert sorted(validations) == [7, 14, 16]
    assert quadratic(0, mean[None])[0] == max(validations.values())  # type: ignore[type-var]


@pytest.mark.parametrize("kill_at", [1, 9])
def test_killed_and_resumed_is_bitwise_uninterrupted(kill_at: int) -> None:
    whole, whole_rows, _ = run("c", generations=15)
    with pytest.raises(KeyboardInterrupt):
        run("d", generations=15, kill_at=kill_at)
    resumed, resumed_rows, evaluated = run("d", generations=15)
    assert evaluated == list(range(kill_at, 15))
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


def test_a_fitness_that_is_not_finite_is_a_user_error() -> None:
    with Checkpoint("evolution", {"name": "nan"}, []) as checkpoint:
        with pytest.raises(UserError, match="fitness of generation 1 is not finite"):
            evolve(
                lambda generation, solutions: np.full(len(solutions), np.nan),
                lambda mean: 0.0,
                start=np.zeros(2),
                sigma=0.1,
                population=4,
                generations=2,
                validate_every=1,
                weight_decay=0.0,
                seed=0,
                checkpoint=checkpoint,
                title="test",
            )
        assert checkpoint.load() is None
