"""CMA-ES with checkpoints: ask, evaluate, tell (Hansen 2016, arXiv:1604.00772, through pycma).

What pycma draws comes from a generator of its own, and the state that is saved is the list of
fitness arrays: telling them to a fresh CMA-ES again leads to the same state, bit for bit, without a
pickle.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from wm import seeding
from wm.errors import UserError
from wm.progress import Progress
from wm.scratch import Checkpoint

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pycma warns of optional plotting
    import cma

Row = dict[str, float | None]


@dataclass(frozen=True)
class Phase:
    """Generations in which some coordinates evolve and the others stand still.

    A phase begins at the mean that the one before ended with, with a step size of its own.
    """

    generations: int
    sigma: float
    active: np.ndarray
    """bool (D,)"""


@dataclass
class _State:
    """All that a run's outcome depends on besides its parameters."""

    fitness: list[list[float]] = field(default_factory=list)
    validations: dict[int, float] = field(default_factory=dict)
    """Mean return of the distribution's mean after so many generations."""


class _Search:
    """CMA-ES through the phases."""

    def __init__(
        self, start: np.ndarray, phases: Sequence[Phase], population: int, seed: int
    ) -> None:
        self._phases = enumerate(phases)
        self._population, self._seed = population, seed
        self._left = 0  # generations of the phase
        self.mean = start
        """Of the distribution, float64 (D,)."""

    @property
    def sigma(self) -> float:
        """The step size."""
        return float(self._strategy.sigma)

    def ask(self) -> np.ndarray:
        """A generation's solutions, float64 (P, D)."""
        while not self._left:
            self._begin(*next(self._phases))
        self._asked = self._strategy.ask()
        solutions = np.tile(self.mean, (self._population, 1))
        solutions[:, self._active] = self._asked
        return solutions

    def tell(self, cost: np.ndarray) -> None:
        """What each of the solutions last asked for costs, (P,)."""
        self._strategy.tell(self._asked, list(cost))
        self.mean = self.mean.copy()
        self.mean[self._active] = self._strategy.mean
        self._left -= 1

    def _begin(self, number: int, phase: Phase) -> None:
        self._left, self._active = phase.generations, phase.active
        start = self.mean[phase.active]
        self._strategy = _strategy(start, phase.sigma, self._population, self._seed, number)


# the eigendecomposition's last bits depend on the number of threads
@threadpool_limits.wrap(limits=1)
def evolve(
    evaluate: Callable[[int, np.ndarray], np.ndarray],
    validate: Callable[[np.ndarray], float],
    *,
    start: np.ndarray,
    phases: Sequence[Phase],
    population: int,
    validate_every: int,
    weight_decay: float,
    seed: int,
    checkpoint: Checkpoint,
    title: str,
) -> tuple[np.ndarray, list[Row]]:
    """Maximises a fitness and returns (best validated mean, float64 (D,), curve rows).

    evaluate(generation, solutions (P, D)) gives the fitness (P,) of each; validate(mean (D,)) that
    of the distribution's mean on what does not change, every `validate_every` generations and
    after the last: the mean that scored highest is returned (the earliest of equals). It begins at
    `start` (D,); generations are counted over all `phases`.
    `weight_decay` times the mean square of a solution is taken off its fitness (the paper's code).

    A row of the curve holds the generation, counted from 1, the fitness' best, mean and std (before
    weight decay), the step size, and the validation, None where there was none.
    Raises UserError when a fitness is not finite.
    """
    state = _State()
    if (saved := checkpoint.load()) is not None:
        validations = {int(key): value for key, value in saved["validations"].items()}
        state = _State(saved["fitness"], validations)
    search = _Search(start, phases, population, seed)
    best, best_value = start, -np.inf
    rows: list[Row] = []
    resumed = len(state.fitness)
    generations = sum(phase.generations for phase in phases)
    with Progress(title, generations, "generations", done=resumed) as progress:
        for generation in range(generations):
            solutions = search.ask()
            if generation == len(state.fitness):
                fitness = evaluate(generation, solutions)
                _check(fitness, population, title, generation)
                state.fitness.append(fitness.tolist())
            fitness = np.array(state.fitness[generation])
            search.tell(weight_decay * np.square(solutions).mean(axis=1) - fitness)
            number = generation + 1
            if number % validate_every == 0 or number == generations:
                if number not in state.validations:
                    state.validations[number] = float(validate(search.mean))
                    _check(np.array([state.validations[number]]), 1, title, generation)
                if state.validations[number] > best_value:
                    best, best_value = search.mean, state.validations[number]
            rows.append(_row(number, fitness, search.sigma, state.validations))
            if generation >= resumed:
                checkpoint.save({"fitness": state.fitness, "validations": state.validations})
                validated = {"validation": best_value} if state.validations else {}
                progress.advance(1, best=fitness.max(), mean=fitness.mean(), **validated)
    return best, rows


def summary(rows: list[Row]) -> Row:
    """The curve in few numbers: the best validation, and the last generation."""
    last = rows[-1]
    return {
        "validation_best": max(value for row in rows if (value := row["validation"]) is not None),
        "validation_last": last["validation"],
        "generations": last["generation"],
        "fitness_best": last["best"],
        "fitness_mean": last["mean"],
    }


def _strategy(start: np.ndarray, sigma: float, population: int, seed: int, phase: int) -> Any:
    generator = seeding.generator(seed, "evolution", phase)
    options = {
        "popsize": population,
        "randn": lambda *shape: generator.standard_normal(shape),
        # pycma would seed NumPy's global generator; any seed serves, as randn is ours, but 0 and
        # None mean the clock
        "seed": 1,
        "verbose": -9,
    }
    # the global generator, which others may rely on, is left as it was
    before = np.random.get_state()
    try:
        return cma.CMAEvolutionStrategy(start, sigma, options)
    finally:
        np.random.set_state(before)


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
