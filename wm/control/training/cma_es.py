"""CMA-ES (Hansen 2016, arXiv:1604.00772), through pycma, in phases.

What pycma draws comes from a generator of its own, so that the same costs lead to the same state,
bit for bit.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from pydantic import Field

from wm.core import seeding
from wm.core.params import Params


class CmaEsSettings(Params):
    """How CMA-ES runs generations that are alike."""

    generations: int = Field(ge=1)
    """The number of generations."""
    population: int = Field(ge=4)
    """Solutions of a generation: candidates."""
    sigma: float = Field(gt=0)
    """The step size of the first generation."""
    final_sigma: float | None = Field(gt=0)
    """The step size of the last, to which it falls by the same factor each time (a single one has
    `sigma`); null: CMA-ES adapts it, and does not let it fall where luck decides most of a
    return."""
    mean_rate: float = Field(gt=0, le=1)
    """The share of the way to the selected candidates' mean that the search's mean goes: c_m of
    Hansen 2016 (equation 9), 1 by default there. Below 1, candidates lie further apart than the
    mean moves, and luck counts less in their ranks."""
    mirrored: bool
    """Whether a candidate stands for its mirror image about the search's mean, too, with the
    opposite rank. Then the worse half says as much as the better one: where luck decides most of a
    return, the mean wanders half as far (in its variance) for the same progress (optimal weights:
    Arnold 2006)."""

    def step(self, number: int) -> float | None:
        """Returns the step size of the generation `number`, from 0; None where it is adapted."""
        if self.final_sigma is None:
            return None
        share = number / max(self.generations - 1, 1)
        return self.sigma * math.pow(self.final_sigma / self.sigma, share)


@dataclass(frozen=True)
class Phase:
    """Generations in which a controller evolves along some directions and no others.

    A phase begins at the mean that the one before ended with, with a step size of its own.
    """

    settings: CmaEsSettings
    """How many generations, and how they are run."""
    directions: Callable[[np.ndarray], np.ndarray]
    """Returns the directions, float64 (D, K), for the mean, float64 (D,), that it begins at."""


class PhasedCmaEs:
    """CMA-ES through phases, one after the other; implements
    wm.control.training.optimizer.Optimizer."""

    def __init__(self, start: np.ndarray, phases: Sequence[Phase], seed: int) -> None:
        """The first mean is `start`, float64 (D,); what is drawn follows from `seed`."""
        self.mean = start
        self._to_come = enumerate(phases)
        self._seed = seed
        self._phase: _RunningPhase | None = None

    @property
    def sigma(self) -> float:
        """The step size of the solutions last asked for, or where it is adapted, the next ones'."""
        assert self._phase is not None, "nothing was asked for yet"
        return self._phase.sigma

    def ask(self) -> np.ndarray:
        """Returns a generation's solutions, float64 (P, D); at most as often as the
        phases have generations."""
        if self._phase is None or self._phase.over:
            number, phase = next(self._to_come)
            self._phase = _RunningPhase(phase, self.mean, self._seed, number)
        return self._phase.ask()

    def tell(self, cost: np.ndarray) -> None:
        """Takes what each of the solutions last asked for costs, float64 (P,)."""
        assert self._phase is not None, "nothing was asked for yet"
        self._phase.tell(cost)
        self.mean = self._phase.mean


class _RunningPhase:
    """A phase under way."""

    def __init__(self, phase: Phase, start: np.ndarray, seed: int, number: int) -> None:
        self.mean = self._start = start
        self._settings = phase.settings
        self._directions = phase.directions(start)
        origin = np.zeros(self._directions.shape[1])
        self._strategy = _strategy(origin, phase.settings, seed, number)
        self._told = 0  # generations

    @property
    def over(self) -> bool:
        return self._told == self._settings.generations

    @property
    def sigma(self) -> float:
        return self._scheduled or float(self._strategy.sigma)

    def ask(self) -> np.ndarray:
        self._scheduled = self._settings.step(self._told)
        self._strategy.sigma = self._scheduled or self._strategy.sigma
        self._asked = self._strategy.ask(self._settings.population)
        return self._start + np.array(self._asked) @ self._directions.T

    def tell(self, cost: np.ndarray) -> None:
        solutions, costs = self._asked, list(cost)
        if self._settings.mirrored:
            rank = _centred_ranks(cost)
            solutions = [*solutions, *(2 * self._strategy.mean - np.array(solutions))]
            costs = [*rank, *(0.25 - rank)]  # of two of one rank, the solution is before the image
        self._strategy.tell(solutions, costs, check_points=False)  # images were not asked for
        self.mean = self._start + self._directions @ self._strategy.mean
        self._told += 1


def _centred_ranks(cost: np.ndarray) -> np.ndarray:
    """Returns the ranks of costs (P,), as far below 0 as above it; equal costs have one rank."""
    ordered = np.sort(cost)
    below, up_to = (np.searchsorted(ordered, cost, side) for side in ("left", "right"))
    return (below + up_to - len(cost)) / 2


def _sum(values: Iterable[float]) -> float:
    """Returns the sum from left to right, each step rounded."""
    return reduce(operator.add, values, 0)


def _strategy(start: np.ndarray, settings: CmaEsSettings, seed: int, number: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pycma warns of optional plotting
        import cma  # a second, which no worker process should pay
        from cma import recombination_weights

    # the `sum` of Python 3.12 rounds floats otherwise than that of 3.11: each Python would find
    # controllers of its own
    recombination_weights.sum = _sum
    generator = seeding.generator(seed, "train_controller", "evolution", number)
    options = {
        "popsize": settings.population * (2 if settings.mirrored else 1),
        "CMA_cmean": settings.mean_rate,
        "randn": lambda *shape: generator.standard_normal(shape),
        # pycma would seed NumPy's global generator; any seed serves, as randn is ours, but 0 and
        # None mean the clock
        "seed": 1,
        "verbose": -9,
    }
    # the global generator, which others may rely on, is left as it was
    before = np.random.get_state()
    try:
        return cma.CMAEvolutionStrategy(start, settings.sigma, options)
    finally:
        np.random.set_state(before)
