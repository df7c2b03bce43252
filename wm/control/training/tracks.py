"""Which tracks a generation drives: new ones, and ones that still tell its candidates apart.

After a while all candidates drive most tracks alike, and what is left to learn lies on the few on
which some of them leave the road. Prioritized Level Replay (Jiang et al. 2021, arXiv:2010.03934) is
the idea: a track comes back by how much could be learned on it when it was last driven.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drives:
    """What a generation drove."""

    seeds: list[int]
    """The seeds of its E tracks."""
    returns: list[list[float]]
    """The return of each of P candidates on each track, (P, E)."""

    @property
    def fitness(self) -> np.ndarray:
        """The mean return of each candidate, float64 (P,)."""
        return np.mean(self.returns, axis=1)


def most_telling(generations: Iterable[Drives], count: int) -> list[int]:
    """Returns the seeds of the `count` tracks, or as many as there are, on which the candidates'
    returns had the greatest standard deviation when the track was last driven."""
    if not count:
        return []
    spread: dict[int, float] = {}
    for drives in generations:
        spread |= dict(zip(drives.seeds, np.std(drives.returns, axis=0).tolist(), strict=True))
    return sorted(spread, key=lambda seed: -spread[seed])[:count]
