"""CMA-ES (Hansen 2016, arXiv:1604.00772), through pycma, in phases.

What pycma draws comes from a generator of its own, so that the same costs lead to the same state,
bit for bit.
"""

from __future__ import annotations

import math
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
    population: int
    """The number of solutions of a generation."""
    sigma: float
    """The step size of the first generation."""
    directions: Callable[[np.ndarray], np.ndarray]
    """Returns the directions, float64 (D, K), for the mean, float64 (D,), that it begins at."""
    final_sigma: float | None = None
    """The step size of the last generation, to which it falls by the same factor each time; None:
    CMA-ES adapts it, and does not let it fall where luck decides most of a return."""
    mean_rate: float = 1.0
    """The learning rate of the mean, c_m of Hansen 2016 (equation 9)."""
    mirrored: bool = False
    """Whether a solution stands for its mirror image about the mean, too, whose rank is the
    opposite. CMA-ES itself learns where the better half lies, and nothing of the worse half."""

    def step(self, number: int) -> float | None:
        """Returns the step size of the generation `number`, from 0; None where it is adapted."""
        if self.final_sigma is None:
            return None
        share = number / max(self.generations - 1, 1)
        return self.sigma * math.pow(self.final_sigma / self.sigma, share)


class PhasedCmaEs:
    """CMA-ES through phases, one after the other; implements
    wm.control.training.optimizer.Optimizer."""

    def __init__(self, start: np.ndarray, phases: Sequence[Phase], seed: int) -> None:
        """The first mean is `start`, float64 (D,); what is drawn follows from `seed`."""
        self._phases = enumerate(phases)
        self._seed = seed
        self._phase = Phase(0, 0, 0.0, lambda _: np.empty((len(start), 0)))
        self._told = 0  # generations of the phase
        self.mean = start

    @property
    def sigma(self) -> float:
        """The step size of the solutions last asked for, or where it is adapted, the next ones'."""
        return self._phase.step(self._told - 1) or float(self._strategy.sigma)

    def ask(self) -> np.ndarray:
        """Returns a generation's solutions, float64 (P, D); at most as often as the
        phases have generations."""
        if self._told == self._phase.generations:
            self._begin(*next(self._phases))
        self._strategy.sigma = self._phase.step(self._told) or self._strategy.sigma
        self._asked = self._strategy.ask(self._phase.population)
        return self._start + np.array(self._asked) @ self._directions.T

    def tell(self, cost: np.ndarray) -> None:
        """Takes what each of the solutions last asked for costs, float64 (P,)."""
        told = self._asked, list(cost)
        if self._phase.mirrored:
            images = 2 * self._strategy.mean - np.array(self._asked)
            rank = _centred_ranks(cost)
            # of a solution and an image of one rank, the solution comes first
            told = [*self._asked, *images], [*rank, *(0.25 - rank)]
        self._strategy.tell(*told, check_points=False)  # images are none that were asked for
        self.mean = self._start + self._directions @ self._strategy.mean
        self._told += 1

    def _begin(self, number: int, phase: Phase) -> None:
        self._phase, self._told, self._start = phase, 0, self.mean
        self._directions = phase.directions(self.mean)
        start = np.zeros(self._directions.shape[1])
        self._strategy = _strategy(start, phase, self._seed, number)


def _centred_ranks(cost: np.ndarray) -> np.ndarray:
    """Returns the ranks of costs (P,), as far below 0 as above it; equal costs have one rank."""
    ordered = np.sort(cost)
    below, up_to = (np.searchsorted(ordered, cost, side) for side in ("left", "right"))
    return (below + up_to - len(cost)) / 2


def _strategy(start: np.ndarray, phase: Phase, seed: int, number: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pycma warns of optional plotting
        import cma  # a second, which no worker process should pay

    generator = seeding.generator(seed, "train_controller", "evolution", number)
    options = {
        "popsize": phase.population * (2 if phase.mirrored else 1),
        "CMA_cmean": phase.mean_rate,
        "randn": lambda *shape: generator.standard_normal(shape),
        # pycma would seed NumPy's global generator; any seed serves, as randn is ours, but 0 and
        # None mean the clock
        "seed": 1,
        "verbose": -9,
    }
    # the global generator, which others may rely on, is left as it was
    before = np.random.get_state()
    try:
        return cma.CMAEvolutionStrategy(start, phase.sigma, options)
    finally:
        np.random.set_state(before)
