"""What a run's returns come to besides their mean: the middle half, and the drives that fail."""

from __future__ import annotations

import numpy as np
from scipy import stats

FAILED = 600
"""A drive that ends below this return has lost the road for good."""
PAPER_EPISODES = 100
"""The episodes of the paper's table 1; the first of a longer evaluation are the same."""


def iqm(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Returns the interquartile mean over `axis` (Agarwal et al. 2021, arXiv:2108.13264)."""
    return np.asarray(stats.trim_mean(values, 0.25, axis=axis))


def measures(returns: np.ndarray) -> dict[str, float]:
    """Returns of a run's returns, float64 (N,) in the order of the tracks, the interquartile mean,
    the percentage below FAILED, and mean and standard deviation of the first PAPER_EPISODES."""
    first = returns[:PAPER_EPISODES]
    return {
        "iqm": float(iqm(returns)),
        "failed_percent": float(100 * (returns < FAILED).mean()),
        "first_mean": float(first.mean()),
        "first_std": float(first.std(ddof=1)),
    }
