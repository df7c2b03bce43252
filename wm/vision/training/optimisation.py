"""First weights and learning rates."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch's global generator, from which layers draw their first weights, for the block."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True)
class Schedule:
    """The learning rate over a training: half a cosine down to nearly 0, or constant."""

    rate: float
    """The learning rate at the first step."""
    steps: int
    """The number of steps of the training."""
    decay: bool
    """Whether the rate falls."""

    def at(self, step: int) -> float:
        """Returns the learning rate at `step`, 0 <= step < steps."""
        if not self.decay:
            return self.rate
        return self.rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))
