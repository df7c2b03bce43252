"""The report's charts: which runs and columns each draws, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study import figures
from study.figures import Panel
from study.grid import OURS, THEIRS, TITLES
from study.runs import RunRecord


@dataclass(frozen=True)
class Curve:
    """A panel of learning curves: column y over column x of a stage's CSV."""

    title: str
    """The title of the panel."""
    stage: str
    """The stage, of runs.CURVES."""
    x: str
    """The column across."""
    y: str
    """The column up."""
    label: str
    """The label of x."""


LEARNING = (
    Curve("Vision model, SSIM", "train_vision", "step", "held_out_ssim", "training step"),
    Curve(
        "Vision model, mean squared error", "train_vision", "step", "held_out_mse", "training step"
    ),
    Curve("Vision model, sharpness", "train_vision", "step", "held_out_sharpness", "training step"),
    Curve("Memory, NLL in its own latents", "train_rnn", "step", "held_out_nll", "training step"),
)
CONTROLLER = (
    Curve("Controller, training fitness", "train_controller", "generation", "mean", "generation"),
    Curve("Controller, validation", "train_controller", "generation", "validation", "generation"),
)


def curve_panels(mine: dict[str, list[RunRecord]], wanted: Sequence[Curve]) -> list[Panel]:
    """Returns a panel for each of `wanted` that runs of the pair have; `mine` are runs by
    variant."""
    panels = []
    for curve in wanted:
        tables = {
            name: found
            for name in (THEIRS, OURS)
            if (found := [read for run in mine.get(name, [])
                          if (read := _read(run, curve.stage)) is not None])
        }  # fmt: skip
        if tables:
            draw = figures.curves(tables, curve.x, curve.y, curve.label)
            says = f"{curve.title} over the {curve.label}s, a line a seed"
            panels.append(Panel(curve.title, says, draw))
    return panels


def _read(run: RunRecord, stage: str) -> pd.DataFrame | None:
    """Returns a run's curve of a stage, None if it has none: an untrained model's is blank."""
    path = run.directory / f"{stage}.csv"
    return run.curve(stage) if path.exists() and path.read_text().strip() else None


def return_panels(mine: dict[str, list[RunRecord]]) -> list[Panel]:
    """Returns a panel a seed with every episode's return, and one with the distributions of all;
    `mine` are runs by variant."""
    returns: dict[str, dict[int, np.ndarray]] = {}
    for name in (THEIRS, OURS):
        for run in mine.get(name, []):
            if (found := _read(run, "evaluate")) is not None:
                returns.setdefault(name, {})[run.seed] = found["return"].to_numpy(np.float64)
    if not returns:
        return []
    limits = figures.returns_range(values for of in returns.values() for values in of.values())
    panels = []
    for seed in sorted({seed for of in returns.values() for seed in of}):
        rows = {name: of[seed] for name, of in returns.items() if seed in of}
        says = "; ".join(f"{TITLES[name]}: mean {values.mean():.1f}, worst {values.min():.0f}"
                         for name, values in rows.items())  # fmt: skip
        panels.append(Panel(f"Seed {seed}", says, figures.swarms(rows, limits)))
    samples = {name: list(of.values()) for name, of in returns.items()}
    panels.append(Panel("Share of episodes below a return", "a line a seed, and all together",
                        figures.distributions(samples, limits)))  # fmt: skip
    return panels


def variant_panels(mine: dict[str, list[RunRecord]]) -> list[Panel]:
    """Returns the panel with the mean returns of every variant, none without runs; `mine` are runs
    by variant."""
    rows = [
        (name, f"{TITLES[name]}, {len(found)} seed{'s' * (len(found) > 1)}",
         np.array([run.metrics["evaluate"]["mean"] for run in found]))
        for name, found in mine.items()
    ]  # fmt: skip
    if not rows:
        return []
    says = "; ".join(f"{title}: {values.mean():.1f}" for _, title, values in rows)
    draw = figures.by_variant(rows)
    return [Panel("Mean return by variant", says, draw, 62 * len(rows) + 40)]
