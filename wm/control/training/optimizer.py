"""What evolution asks of an optimiser: ask and tell."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Optimizer(Protocol):
    """A black-box optimiser that minimises a cost of D numbers.

    What it draws must follow from its construction and from the costs that it was told: a run that
    was interrupted tells them to a fresh optimiser again.
    """

    @property
    def mean(self) -> np.ndarray:
        """The solution that it would settle on now, float64 (D,)."""

    @property
    def sigma(self) -> float:
        """The size of its steps."""

    def ask(self) -> np.ndarray:
        """Returns a generation's solutions, float64 (P, D)."""

    def tell(self, cost: np.ndarray) -> None:
        """Takes what each of the solutions last asked for costs, float64 (P,)."""
