"""The loop that evolves controllers: ask, evaluate, tell, validate; resumable.

The state that is saved is the returns of every generation: telling them to a fresh optimiser again
leads to the same state, bit for bit, without a pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from wm.control.training.optimizer import Optimizer
from wm.control.training.tracks import Drives
from wm.core.errors import UserError
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.progress import Progress

Row = dict[str, float | None]


@dataclass(frozen=True)
class Validated:
    """The optimiser's mean after some generation, and what it is worth."""

    vector: np.ndarray
    """The mean, float64 (D,)."""
    return_: float
    """Its mean return on what does not change."""


@dataclass
class _State:
    """All that a run's outcome depends on besides its parameters."""

    drives: list[Drives] = field(default_factory=list)
    """What each generation drove."""
    validations: dict[int, float] = field(default_factory=dict)
    """Mean return of the optimiser's mean after so many generations."""


# the eigendecomposition's last bits depend on the number of threads
@threadpool_limits.wrap(limits=1)
def evolve(
    optimizer: Optimizer,
    drive: Callable[[np.ndarray, Sequence[Drives]], Drives],
    validate: Callable[[np.ndarray], float],
    *,
    generations: int,
    validate_every: int,
    weight_decay: float,
    checkpoint: Checkpoint,
    title: str,
) -> tuple[list[Validated], list[Row]]:
    """Maximises a mean return; returns the validated means in their order, and the curve's rows.

    drive(solutions (P, D), generations before) drives a generation; validate(mean (D,)) gives the
    return of the optimiser's mean on what does not change, every `validate_every` generations and
    after the last.
    `weight_decay` times the mean square of a solution is taken off its fitness (the paper's code).

    A row of the curve holds the generation, counted from 1, the fitness' best, mean and std (before
    weight decay), the step size, and the validation, None where there was none.
    Raises UserError when a return is not finite.
    """
    state = _restored(checkpoint.load())
    validated: list[Validated] = []
    rows: list[Row] = []
    resumed = len(state.drives)
    with Progress(title, generations, "generations", done=resumed) as progress:
        for generation in range(generations):
            solutions = optimizer.ask()
            if generation == len(state.drives):
                drives = drive(solutions, state.drives)
                _check(drives.fitness, len(solutions), title, generation)
                state.drives.append(drives)
            fitness = state.drives[generation].fitness
            optimizer.tell(weight_decay * np.square(solutions).mean(axis=1) - fitness)
            number = generation + 1
            if number % validate_every == 0 or number == generations:
                if number not in state.validations:
                    state.validations[number] = float(validate(optimizer.mean))
                    _check(np.array([state.validations[number]]), 1, title, generation)
                validated.append(Validated(optimizer.mean, state.validations[number]))
            rows.append(_row(number, fitness, optimizer.sigma, state.validations))
            if generation >= resumed:
                checkpoint.save(_saved(state))
                best_so_far = {"validation": best(validated).return_} if validated else {}
                progress.advance(1, best=fitness.max(), mean=fitness.mean(), **best_so_far)
    return validated, rows


def best(validated: Sequence[Validated]) -> Validated:
    """Returns the mean that is worth the most, the earliest of equals."""
    return max(validated, key=lambda mean: mean.return_)


def summary(rows: list[Row]) -> Row:
    """Returns the curve in few numbers: the best validation, and the last generation."""
    last = rows[-1]
    return {
        "validation_best": max(value for row in rows if (value := row["validation"]) is not None),
        "validation_last": last["validation"],
        "generations": last["generation"],
        "fitness_best": last["best"],
        "fitness_mean": last["mean"],
    }


def _saved(state: _State) -> dict[str, Any]:
    # not asdict, whose copy of every return takes longer than writing it
    return {"drives": [vars(of) for of in state.drives], "validations": state.validations}


def _restored(saved: dict[str, Any] | None) -> _State:
    if saved is None:
        return _State()
    validations = {int(number): value for number, value in saved["validations"].items()}
    return _State([Drives(**drives) for drives in saved["drives"]], validations)


def _check(fitness: np.ndarray, population: int, title: str, generation: int) -> None:
    assert fitness.shape == (population,), f"{fitness.shape} fitness for {population} solutions"
    if not np.isfinite(fitness).all():
        raise UserError(
            f"{title}: a fitness of generation {generation + 1} is not finite; "
            "the models or the environment's rewards are damaged"
        )


def _row(number: int, fitness: np.ndarray, sigma: float, validations: dict[int, float]) -> Row:
    return {
        "generation": number,
        "best": float(fitness.max()),
        "mean": float(fitness.mean()),
        "std": float(fitness.std()),
        "sigma": sigma,
        "validation": validations.get(number),
    }
