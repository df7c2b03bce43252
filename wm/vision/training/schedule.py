"""The learning rate over a training."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The learning rate over a training: half a cosine down to nearly 0, or constant."""

    rate: float
    """The learning rate at the first step."""
    steps: int
    """The number of steps of the training."""
    decay: bool
    """Whether the rate falls to nearly 0 over the training."""

    def at(self, step: int) -> float:
        """Returns the learning rate at `step`, 0 <= step < steps."""
        if not self.decay:
            return self.rate
        return self.rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))
