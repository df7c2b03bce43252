"""CMA-ES (Hansen 2016, arXiv:1604.00772), through pycma, in phases.

What pycma draws comes from a generator of its own, so that the same costs lead to the same state,
bit for bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wm.core import seeding


@dataclass(frozen=True)
class Phase:
    """Generations in which a controller evolves along some directions and no others.

    A phase begins at the mean that the one before ended with, with a step size of its own.
    """

    generations: int
    """The number of generations."""
    sigma: float
    """The step size at first."""
    directions: Callable[[np.ndarray], np.ndarray]
    """Returns the directions, float64 (D, K), for the mean, float64 (D,), that it begins at."""


class PhasedCmaEs:
    """CMA-ES through phases, one after the other; implements
    wm.control.training.optimizer.Optimizer."""

    def __init__(
        self, start: np.ndarray, phases: Sequence[Phase], population: int, seed: int
    ) -> None:
        """The first mean is `start`, float64 (D,); what is drawn follows from `seed`."""
        self._phases = enumerate(phases)
        self._seed = seed
        self._left = 0  # generations of the phase
        self.generations = sum(phase.generations for phase in phases)
        """The number of generations of all phases."""
        self._population = population
        self.mean = start

    @property
    def sigma(self) -> float:
        """The step size."""
        return float(self._strategy.sigma)

    def ask(self) -> np.ndarray:
        """Returns a generation's solutions, float64 (P, D); at most `generations` times."""
        while not self._left:
            self._begin(*next(self._phases))
        self._asked = self._strategy.ask()
        return self._start + np.array(self._asked) @ self._directions.T

    def tell(self, cost: np.ndarray) -> None:
        """Takes what each of the solutions last asked for costs, float64 (P,)."""
        self._strategy.tell(self._asked, list(cost))
        self.mean = self._start + self._directions @ self._strategy.mean
        self._left -= 1

    def _begin(self, number: int, phase: Phase) -> None:
        self._left, self._start = phase.generations, self.mean
        self._directions = phase.directions(self.mean)
        start = np.zeros(self._directions.shape[1])
        self._strategy = _strategy(start, phase.sigma, self._population, self._seed, number)


def _strategy(start: np.ndarray, sigma: float, population: int, seed: int, phase: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pycma warns of optional plotting
        import cma  # a second, which no worker process should pay

    generator = seeding.generator(seed, "train_controller", "evolution", phase)
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
