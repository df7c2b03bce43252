"""What is kept of a run: results/runs/<cell>/, in git, small, and all that the tables are made of.

run.json holds the metrics of every stage, what they cost, the hashes of the outputs and where and
from which commit they came; beside it lie the curves and every episode's return, as the stages
wrote them to plots/, and the controller. A run that failed has a run.json too, with its last line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from study import returns, tracks
from study.grid import Cell
from wm.core import artifacts
from wm.core.errors import UserError
from wm.core.params import Params, Seed, validated

RESULTS = Path("results")
RUNS = RESULTS / "runs"
EXHIBITS = RESULTS / "exhibits"
"""The path of both files of exhibits, without .json and .safetensors."""
CHAIN = ("collect", "train_vision", "encode", "train_rnn", "train_controller", "evaluate")
"""The stages that metrics are of, under one name whichever vision model a run trains."""
STAGES = (*CHAIN, "measure_rnn")
"""The stages of a run; measure_rnn writes the metrics of train_rnn."""
CURVES = ("train_vision", "train_rnn", "train_controller", "evaluate")
"""The stages that write a CSV to plots/."""


class RunRecord(Params):
    """What results/runs/<cell>/run.json holds."""

    cell: str
    """The name of the cell."""
    variant: str
    """The name of its variant."""
    seed: Seed
    """Its training seed."""
    scale: str
    """The scale in params.yaml."""
    changes: list[str]
    """The changes to params.yaml at that commit."""
    parameters: str = ""
    """What stands for the parameters that all runs of its study start from, as settings.digest has
    it; empty where it was kept before there was such a thing."""
    commit: str
    """The commit that it started from."""
    machine: dict[str, str | int | float | bool]
    """The machine that it ran on; empty where that is not known, of a run that was pulled."""
    error: str | None = None
    """Its last line, if it failed; all that follows is then empty."""
    metrics: dict[str, dict[str, float]] = Field(default_factory=dict)
    """The content of metrics/<stage>.json, for each stage of CHAIN."""
    costs: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Seconds, rates and memory from metrics/perf.json, for each stage of STAGES whose cost is
    known."""
    hashes: dict[str, str] = Field(default_factory=dict)
    """The hashes of the outputs, by path, from dvc.lock."""

    @property
    def directory(self) -> Path:
        """The folder that it is kept in."""
        return RUNS / self.cell

    @property
    def tracks(self) -> str | None:
        """The name of the tracks that evaluate drove, by the seeds it wrote; None if there is no
        evaluate.csv, as in a run that failed."""
        if not (self.directory / "evaluate.csv").exists():
            return None
        return tracks.name(self.curve("evaluate")["seed"])

    def row(self) -> dict[str, Any]:
        """Returns the numbers in one level: `<stage>.<metric>`, what it cost among them,
        `evaluate.<measure>` of returns.measures, and `train_rnn.nll_gain` (nats a dimension): how
        much likelier than a linear filter the memory finds what comes. A run that was measured
        without the filter has no gain."""
        flat = {
            f"{stage}.{name}": value
            for numbers in (self.metrics, self.costs)
            for stage, values in numbers.items()
            for name, value in values.items()
        }
        if "train_rnn.nll_linear" in flat:
            flat["train_rnn.nll_gain"] = flat["train_rnn.nll_linear"] - flat["train_rnn.nll"]
        if self.tracks is not None:
            drives = self.curve("evaluate")["return"].to_numpy(np.float64)
            found = returns.measures(drives)
            flat |= {f"evaluate.{name}": value for name, value in found.items()}
        columns = ("cell", "variant", "seed", "scale", "commit", "tracks", "error")
        return {column: getattr(self, column) for column in columns} | flat

    def curve(self, stage: str) -> pd.DataFrame:
        """Returns what a stage of CURVES left in plots/, a row a step, generation or episode.

        Raises UserError when the file is missing or damaged.
        """
        return read_csv(self.directory / f"{stage}.csv")


def save(
    run: RunRecord, curves: dict[str, str], controller: dict[str, bytes] | None = None
) -> None:
    """Writes a run, its curves (stage -> text of the CSV) and the files of its controller, by their
    names."""
    with artifacts.publish(run.directory) as directory:
        for name, content in (controller or {}).items():
            artifacts.write_bytes(directory / "controller" / name, content)
        for stage, text in curves.items():
            artifacts.write_bytes(directory / f"{stage}.csv", text.encode())
        artifacts.write_json(directory / "run.json", run.model_dump())


def read_csv(path: Path) -> pd.DataFrame:
    """Returns a table of results/; UserError when the file is missing or damaged."""
    if not path.exists():
        raise UserError(f"{path}: not found; take it from git again")
    try:
        return pd.read_csv(path)
    except ValueError as error:
        raise UserError(f"{path}: {error}; take it from git again") from None


def load(cell: Cell | str) -> RunRecord | None:
    """Returns the run of a cell, None if there is none yet; UserError when its file is damaged."""
    path = RUNS / (cell if isinstance(cell, str) else cell.name) / "run.json"
    if not path.exists():
        return None
    content: Any = artifacts.read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a run's record; take it from git again")
    return validated(RunRecord, content, path, "take it from git again")


def load_all() -> list[RunRecord]:
    """Returns every run that is kept, ordered by name."""
    # a name with a dot is of a folder that another process is writing
    names = sorted(path.parent.name for path in RUNS.glob("[!.]*/run.json"))
    return [run for name in names if (run := load(name)) is not None]
