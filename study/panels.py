"""The report's charts: which runs and columns each draws, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study import figures
from study.figures import Panel
from study.grid import OURS, THEIRS, TITLES
from study.runs import Run


@dataclass(frozen=True)
class Curve:
    """A panel of learning curves: column y over column x of a stage's CSV."""

    title: str
    stage: str
    x: str
    y: str
    label: str
    """Of x."""


LEARNING = (
    Curve("Eye, SSIM", "train_vision", "step", "held_out_ssim", "training step"),
    Curve("Eye, mean squared error", "train_vision", "step", "held_out_mse", "training step"),
    Curve("Eye, sharpness", "train_vision", "step", "held_out_sharpness", "training step"),
    Curve("Memory, NLL in its own latents", "train_rnn", "step", "held_out_nll", "training step"),
)
CONTROLLER = (
    Curve("Controller, population mean", "train_controller", "generation", "mean", "generation"),
    Curve("Controller, validation", "train_controller", "generation", "validation", "generation"),
)


def curve_panels(mine: dict[str, list[Run]], wanted: Sequence[Curve]) -> list[Panel]:
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


def _read(run: Run, stage: str) -> pd.DataFrame | None:
    """A run's curve of a stage, None if it has none."""
    return run.curve(stage) if (run.directory / f"{stage}.csv").exists() else None


def return_panels(mine: dict[str, list[Run]]) -> list[Panel]:
    """A panel a seed with every episode's return, and one with all of them by share."""
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
                        figures.shares(samples, limits)))  # fmt: skip
    return panels


def variant_panels(mine: dict[str, list[Run]]) -> list[Panel]:
    rows = [
        (name, TITLES[name], np.array([run.metrics["evaluate"]["mean"] for run in found]))
        for name, found in mine.items()
    ]
    if not rows:
        return []
    says = "; ".join(f"{title}: {values.mean():.1f}" for _, title, values in rows)
    draw = figures.by_variant(rows)
    return [Panel("Mean return by variant", says, draw, 54 * len(rows) + 40)]
