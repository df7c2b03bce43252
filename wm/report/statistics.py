"""Summaries of episode returns, and the bootstrap behind every interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

RESAMPLES = 10_000


def summary(returns: np.ndarray) -> dict[str, float]:
    """Returns the summary of returns (N,), N >= 2: mean, std, median, min, max, 95 % interval.

    std is the sample's (ddof = 1). The 95 % interval is that of the mean, a percentile bootstrap
    of 10,000 resamples from a fixed generator: the same returns in the same order always give the
    same interval, and equal returns one of width 0. Raises ValueError for fewer than two returns.
    """
    returns = np.asarray(returns, np.float64)
    if returns.ndim != 1 or len(returns) < 2:
        raise ValueError(f"a spread takes at least two returns, (N,), not {returns.shape}")
    low, high = interval([returns], np.mean)
    return {
        "mean": float(returns.mean()),
        "std": float(returns.std(ddof=1)),
        "median": float(np.median(returns)),
        "min": float(returns.min()),
        "max": float(returns.max()),
        "ci95_low": low,
        "ci95_high": high,
    }


def summary_of_episodes(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the summary of the `return` of at least two episodes, with how many they are and in
    how many a lap was finished (`lap_finished`)."""
    laps = {"laps_finished": sum(row["lap_finished"] for row in rows), "episodes": len(rows)}
    return summary(np.array([row["return"] for row in rows])) | laps


def interval(
    samples: Sequence[np.ndarray], statistic: Callable[..., np.ndarray]
) -> tuple[float, float]:
    """Returns the 95 % percentile bootstrap interval of `statistic` (it takes an `axis`) of
    independent samples, each (N,) with N >= 2, from a fixed generator."""
    from scipy.stats import bootstrap  # a second, which no worker process should pay

    found = bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)
