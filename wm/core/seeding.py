"""A tree of random streams: (seed, role, index...) names one, whatever else has been drawn.

No stream is shared and no generator's state is ever saved: whoever needs the numbers of step k
asks for the stream of step k. The roles keep apart what must not be correlated.
"""

from __future__ import annotations

import zlib

import numpy as np

EVALUATION_OFFSET = 2**30
"""Track seeds of official evaluation start here; every training seed lies below."""


def _sequence(seed: int, role: str, index: tuple[int, ...]) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, zlib.crc32(role.encode()), *index])


def generator(seed: int, role: str, *index: int) -> np.random.Generator:
    """Returns the NumPy generator of the stream (seed, role, *index)."""
    return np.random.Generator(np.random.PCG64(_sequence(seed, role, index)))


def integer(seed: int, role: str, *index: int) -> int:
    """Returns a seed in [0, 2**30) for what wants an integer: an environment, torch."""
    return int(_sequence(seed, role, index).generate_state(1, np.uint32)[0]) % EVALUATION_OFFSET


def evaluation_seed(index: int) -> int:
    """Returns the track seed of evaluation episode `index`: the same for every run, and one that
    no training stage can draw."""
    return EVALUATION_OFFSET + index
