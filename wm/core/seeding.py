"""A tree of random streams: (seed, stage, purpose, index...) names one, whatever else is drawn.

No stream is shared and no generator's state is ever saved: whoever needs the numbers of step k
asks for the stream of step k. A stream's name is hashed whole, so two names share a stream only
where SHA-256 collides; NumPy's own mixing takes (s, r) and (s, r, 0) for the same.
"""

from __future__ import annotations

import hashlib

import numpy as np

DEVELOPMENT_OFFSET = 2**30
"""Every track seed of training lies below. The tracks from here on were the official ones while
the present defaults were chosen: they are for development."""
EVALUATION_OFFSET = 2**30 + 2**29
"""Track seeds of official evaluation start here. Nobody looks at their returns while tuning."""


def _sequence(*name: int | str) -> np.random.SeedSequence:
    digest = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return np.random.SeedSequence(int.from_bytes(digest))


def generator(seed: int, stage: str, purpose: str, *index: int) -> np.random.Generator:
    """Returns the NumPy generator of a stream.

    `stage` is the name of the stage that draws and `purpose` says what for, both without a slash.
    """
    return np.random.Generator(np.random.PCG64(_sequence(seed, stage, purpose, *index)))


def integer(seed: int, stage: str, purpose: str, *index: int) -> int:
    """Returns a seed in [0, 2**30) for what wants an integer: an environment, torch."""
    drawn = _sequence(seed, stage, purpose, *index).generate_state(1, np.uint32)[0]
    return int(drawn) % DEVELOPMENT_OFFSET


def evaluation_seed(index: int) -> int:
    """Returns the track seed of evaluation episode `index`: the same for every run, and one that
    no training stage can draw."""
    return EVALUATION_OFFSET + index
