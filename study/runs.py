"""What is kept of a run: results/runs/<cell>/, in git, small, and all that the tables are made of.

run.json holds the metrics of every stage, what they cost, the hashes of the outputs and where and
from which commit they came; beside it lie the curves and every episode's return, as the stages
wrote them to plots/. A run that failed has a run.json too, with its last line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field, ValidationError

from study import grid
from study.grid import Cell
from wm import artifacts
from wm.errors import UserError
from wm.params import Params

RESULTS = Path("results")
RUNS = RESULTS / "runs"
EXHIBITS = RESULTS / "exhibits"
"""With .json and .safetensors."""
CHAIN = ("collect", "train_vision", "encode", "train_rnn", "train_controller", "evaluate")
"""The stages of a run, under one name whichever vision model it trains."""
CURVES = ("train_vision", "train_rnn", "train_controller", "evaluate")
"""Those that write a CSV to plots/."""


class Run(Params):
    """results/runs/<cell>/run.json."""

    cell: str
    variant: str
    seed: int
    scale: str
    changes: list[str]
    """To params.yaml at that commit."""
    commit: str
    machine: dict[str, str | int | float | bool]
    error: str | None = None
    """Its last line, if it failed; all that follows is then empty."""
    metrics: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Of each stage of CHAIN: metrics/<stage>.json."""
    costs: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Of each stage that ran here, or whose outputs are those of the commit that it started from:
    its part of metrics/perf.json. The latter was paid on the commit's machine."""
    hashes: dict[str, str] = Field(default_factory=dict)
    """Of the outputs, by path, from dvc.lock."""

    @property
    def directory(self) -> Path:
        """Where it is kept."""
        return RUNS / self.cell

    def row(self) -> dict[str, Any]:
        """The numbers in one level: `<stage>.<metric>`, what it cost among them, and
        `train_rnn.nll_gain`: how much likelier than its last-value baseline the memory finds what
        comes, which unlike `nll` itself compares across latent spaces."""
        flat = {
            f"{stage}.{name}": value
            for numbers in (self.metrics, self.costs)
            for stage, values in numbers.items()
            for name, value in values.items()
        }
        if "train_rnn.nll" in flat:
            flat["train_rnn.nll_gain"] = flat["train_rnn.nll_last_value"] - flat["train_rnn.nll"]
        return {"cell": self.cell, "variant": self.variant, "seed": self.seed, "scale": self.scale,
                "commit": self.commit, "error": self.error, **flat}  # fmt: skip

    def curve(self, stage: str) -> pd.DataFrame:
        """What the run left in plots/ of one of CURVES. UserError when it is missing or damaged."""
        path = self.directory / f"{stage}.csv"
        if not path.exists():
            raise UserError(f"{path}: not found; take it from git again")
        try:
            return pd.read_csv(path)
        except ValueError as error:
            raise UserError(f"{path}: {error}; take it from git again") from None


def save(run: Run, curves: dict[str, str]) -> None:
    """Writes a run and its curves (stage -> text of the CSV)."""
    with artifacts.publish(run.directory) as directory:
        for stage, text in curves.items():
            artifacts.write_bytes(directory / f"{stage}.csv", text.encode())
        artifacts.write_json(directory / "run.json", run.model_dump())


def load(cell: Cell | str) -> Run | None:
    """The run of a cell, or None if there is none yet. UserError when its file is damaged."""
    path = RUNS / (cell if isinstance(cell, str) else cell.name) / "run.json"
    if not path.exists():
        return None
    content: Any = artifacts.read_json(path)
    try:
        return Run(**content)
    except (TypeError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: {reason}; take it from git again") from None


def load_all() -> list[Run]:
    """Every run that is kept, by name."""
    names = sorted(path.parent.name for path in RUNS.glob("*/run.json"))
    return [run for name in names if (run := load(name)) is not None]


def best() -> Run:
    """Of the pair's runs that are kept, the one with the highest mean return. UserError if there
    is none."""
    pair = [grid.THEIRS, grid.OURS]
    whole = [run for run in load_all() if run.variant in pair and run.error is None]
    if not whole:
        raise UserError(f"{RUNS}: no run yet; run make study")
    return max(whole, key=lambda run: run.metrics["evaluate"]["mean"])
