"""The squared error between frames, in integers, so that no order of summation changes it."""

from __future__ import annotations

import numpy as np

WHITE = 255
"""The largest value of a channel."""


def squared_errors(frames: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the sum of squared differences of each pair of frames, int64 (N,).

    Both are uint8 (N, H, W, 3). Pairs are taken one at a time, so that memory stays flat.
    """
    pairs = zip(frames, others, strict=True)
    sums = [np.square(x.astype(np.int32) - y).sum(dtype=np.int64) for x, y in pairs]
    return np.array(sums, np.int64)


def mse(frames: np.ndarray, others: np.ndarray) -> float:
    """Returns the mean squared error of values in [0, 1] over all frames, uint8 (N, H, W, 3)."""
    return int(squared_errors(frames, others).sum()) / (WHITE**2 * frames.size)


def mse_of_each(frames: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the mean squared error of values in [0, 1] of each frame, float64 (N,)."""
    return squared_errors(frames, others) / (WHITE**2 * frames[0].size)
