"""Which of two variants is better, in words that follow from intervals by one rule.

Seeds are the units: a difference is taken within a training seed, for which both variants had the
same data and the same tracks, and its interval says how it varies over seeds. `VERDICT` states the
rule. How much returns vary over tracks within a seed is reported beside it (`over_tracks`), but no
verdict on a variant follows from one training run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from study.returns import FAILED, PAPER_EPISODES, iqm
from study.runs import RunRecord
from wm.core.errors import UserError
from wm.report.statistics import RESAMPLES, interval

SEEDS_NEEDED = 5
VERDICT = (
    f"Over at least {SEEDS_NEEDED} training seeds, a variant is better or worse where both 95 % "
    "intervals of the mean difference within a seed exclude 0: the percentile bootstrap over seeds "
    f"(scipy, {RESAMPLES:,} resamples) and Student's t, since a bootstrap of so few seeds is too "
    "narrow. Otherwise no difference is shown."
)
BETTER, WORSE, NOT_SHOWN, TOO_FEW = "better", "worse", "no difference shown", "too few seeds"
UNJUDGED = "not judged"
"""In place of a verdict, where a number is no merit of a variant's."""


@dataclass(frozen=True)
class Measure:
    """One number of a run."""

    key: str
    """The key of RunRecord.row()."""
    title: str
    good: Literal["higher", "lower"]
    digits: int
    judged: bool = True
    """Whether it is a variant's merit: a baseline is shown without a verdict, and so is what the
    noise of the latents limits."""
    limit: float | None = None
    """The value beyond which more is no merit: where a run is beyond it, no verdict is given."""


RETURN = Measure("evaluate.mean", "official return", "higher", 1)
MEASURES = (
    Measure("encode.mse", "mean squared error, held out", "lower", 5),
    Measure("encode.psnr", "PSNR (dB)", "higher", 2),
    Measure("encode.ssim", "SSIM", "higher", 4),
    Measure("encode.road_iou", "road IoU", "higher", 4),
    Measure("encode.sharpness", "sharpness (the original's is 1)", "higher", 3, limit=1.0),
    Measure("encode.probe_r2_speed", "probe R²: speed", "higher", 3),
    Measure("encode.probe_r2_angular_velocity", "probe R²: angular velocity", "higher", 3),
    Measure("encode.probe_r2_lateral_offset", "probe R²: lateral offset", "higher", 3),
    Measure("encode.probe_r2_heading_error", "probe R²: heading error", "higher", 3),
    Measure("encode.probe_r2_curvature_ahead", "probe R²: curvature ahead", "higher", 3),
    Measure("encode.probe_r2_wheel_angle", "probe R²: wheel angle", "higher", 3),
    Measure("train_vision.seconds", "training the vision model (s)", "lower", 0),
    Measure("train_vision.frames_per_second", "its rate (frames/s)", "higher", 0),
    Measure("train_vision.peak_memory_mb", "its peak memory (MiB)", "lower", 0),
    Measure(
        "train_rnn.nll", "memory's NLL (nats a dimension, standardised)", "lower", 3, judged=False
    ),
    Measure("train_rnn.nll_gain", "its gain on a linear filter (nats)", "higher", 3),
    Measure("train_rnn.nll_marginal", "its baseline: marginal Gaussian", "lower", 3, judged=False),
    Measure("train_rnn.nll_last_mean", "its baseline: last mean", "lower", 3, judged=False),
    Measure("train_rnn.nll_linear", "its baseline: linear filter", "lower", 3, judged=False),
    Measure("train_rnn.reward_correlation", "reward head's correlation", "higher", 3),
    Measure("train_rnn.open_loop_mse_1", "open-loop error after 1 step", "lower", 5),
    Measure("train_rnn.open_loop_mse_5", "open-loop error after 5 steps", "lower", 5),
    Measure("train_rnn.open_loop_mse_15", "open-loop error after 15 steps", "lower", 5),
    Measure("train_rnn.open_loop_mse_50", "open-loop error after 50 steps", "lower", 5),
    Measure("train_rnn.seconds", "training the memory (s)", "lower", 0),
    RETURN,
    Measure("evaluate.iqm", "its interquartile mean over tracks", "higher", 1),
    Measure("evaluate.failed_percent", f"drives below {FAILED} (%)", "lower", 2),
    Measure("evaluate.first_mean", f"over the first {PAPER_EPISODES} tracks", "higher", 1),
    Measure("evaluate.std", "its spread over tracks", "lower", 1),
    Measure("evaluate.min", "its worst track", "higher", 0),
    Measure("evaluate.laps_finished", "laps finished", "higher", 0),
)
PAIRS = (
    ("vaegan", "vae"),
    ("untrained-memory", "vae"),
    ("z", "vae"),
    ("z-hidden", "z"),
    ("all-weights", "vae"),
    ("return-alone", "vae"),
    ("networks", "vae"),
    ("vaegan-networks", "networks"),
)
"""(variant, what it is held against)."""


def probability_ahead(ours: np.ndarray, theirs: np.ndarray, axis: int = -1) -> np.ndarray:
    """Returns the probability that a run of ours (..., N) has more than one of theirs (..., M), a
    tie counting half (the probability of improvement of Agarwal et al. 2021)."""
    assert axis in (-1, ours.ndim - 1), "samples lie along the last axis"
    signs = np.sign(ours[..., :, None] - theirs[..., None, :])
    return np.asarray((signs / 2 + 0.5).mean(axis=(-2, -1)))


def over_seeds(ours: np.ndarray, theirs: np.ndarray, good: str) -> dict[str, Any]:
    """Compares ours with theirs, (S,) each, S >= 2, one value a training seed, in the same order.

    Returns of both the mean and the IQM; of their difference within a seed the mean and its 95 %
    intervals, bootstrap and t; the probability that any run of ours is ahead of any of theirs (less
    is ahead if `good` is "lower"; not paired by seed) and its interval; the verdict on ours, as
    VERDICT says. The bootstrap intervals of fewer than five seeds, and of IQM and probability at
    any number so small, are narrower than they say.
    """
    difference = ours - theirs
    low, high = interval([difference], np.mean)
    t_low, t_high = low, high  # of equal differences t has no interval
    if spread := stats.sem(difference):
        t_low, t_high = stats.t.interval(0.95, len(difference) - 1, difference.mean(), spread)
    sign = 1 if good == "higher" else -1
    ahead = (sign * ours, sign * theirs)
    return {
        "ours": _summary(ours),
        "theirs": _summary(theirs),
        "difference": float(difference.mean()),
        "bootstrap": [low, high],
        "t": [float(t_low), float(t_high)],
        "probability_ahead": [
            float(probability_ahead(*ahead)),
            *interval(ahead, probability_ahead),
        ],
        "verdict": verdict(len(ours), min(low, t_low), max(high, t_high), good),
    }


def _summary(values: np.ndarray) -> dict[str, Any]:
    return {
        "values": values.tolist(),
        "mean": float(values.mean()),
        "iqm": [float(iqm(values)), *interval([values], iqm)],
    }


def verdict(seeds: int, low: float, high: float, good: str) -> str:
    """Returns the word for a difference between `low` and `high`; see VERDICT."""
    if seeds < SEEDS_NEEDED:
        return TOO_FEW
    if low <= 0 <= high:
        return NOT_SHOWN
    return BETTER if (low > 0) == (good == "higher") else WORSE


def over_tracks(ours: RunRecord, theirs: RunRecord) -> dict[str, Any]:
    """Returns the difference of two runs' returns on the same tracks: its mean, 95 % paired
    bootstrap interval over tracks, and how many tracks each had the higher return on."""
    tables = ours.curve("evaluate"), theirs.curve("evaluate")
    if {*tables[0]["seed"]} != {*tables[1]["seed"]}:
        raise UserError(f"{ours.cell}, {theirs.cell}: not the same tracks; delete one's results")
    both = tables[0].merge(tables[1], on="seed", validate="1:1")
    difference = (both["return_x"] - both["return_y"]).to_numpy()
    return {
        "tracks": len(difference),
        "difference": float(difference.mean()),
        "bootstrap": list(interval([difference], np.mean)),
        "ahead": int((difference > 0).sum()),
        "behind": int((difference < 0).sum()),
    }
