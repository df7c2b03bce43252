"""results/study.csv, one row a run, and results/comparison.json, variant against variant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from study import comparison, runs
from study.comparison import MEASURES, PAIRS, UNJUDGED
from study.grid import VARIANTS, Cell
from study.runs import RESULTS, RunRecord
from wm.core import artifacts
from wm.core.errors import UserError
from wm.core.params import VISION_MODELS

CSV, COMPARISON = RESULTS / "study.csv", RESULTS / "comparison.json"
OUTPUTS = {
    "collect": ("data/episodes",),
    "train_vision": tuple(f"models/{name}" for name in VISION_MODELS),
    "encode": ("data/latents",),
    "train_rnn": ("models/rnn",),
}
"""Outputs that tell that two runs shared a stage: DVC then ran it for one of them."""


def write() -> None:
    """Writes both files from what results/runs holds."""
    kept = with_shared_costs(runs.load_all())
    artifacts.write_csv(CSV, [run.row() for run in kept])
    artifacts.write_json(COMPARISON, compare(kept))


def with_shared_costs(kept: Sequence[RunRecord]) -> list[RunRecord]:
    """Returns the runs, each with what a stage cost that it took from another's cache."""
    paid = {
        (stage, run.hashes.get(path)): run.costs[stage]
        for run in kept
        for stage, paths in OUTPUTS.items()
        for path in paths
        if stage in run.costs and path in run.hashes
    }
    return [
        run.model_copy(
            update={
                "costs": {
                    stage: paid[stage, run.hashes[path]]
                    for stage, paths in OUTPUTS.items()
                    for path in paths
                    if (stage, run.hashes.get(path)) in paid
                }
                | run.costs
            }
        )
        for run in kept
    ]


def compare(kept: Sequence[RunRecord]) -> dict[str, Any]:
    """Returns the rule, and for every pair of variants that have a seed of the grid in common what
    comparison.over_tracks says of each seed and, from two seeds on, comparison.over_seeds of each
    measure that all these runs have. `lacking` names the measures that not all of them have.

    Raises UserError unless all runs drove tracks of one name and have the same parameters but for
    those by which cells differ.
    """
    _check_alike(kept)
    whole = of_the_grid(kept)
    pairs = []
    for ours, theirs in PAIRS:
        both = [
            (mine, other)
            for mine in whole.get(ours, [])
            for other in whole.get(theirs, [])
            if (mine.seed, mine.scale) == (other.seed, other.scale)
        ]
        if not both:
            continue
        rows = [(mine.row(), other.row()) for mine, other in both]
        measures, lacking = {}, []
        for measure in MEASURES if len(both) > 1 else ():  # one seed has no spread
            if not all(measure.key in row for pair in rows for row in pair):
                lacking.append(measure.key)
                continue
            ours_had, theirs_had = np.array(
                [[row[measure.key] for row in pair] for pair in rows], np.float64
            ).T
            found = comparison.over_seeds(ours_had, theirs_had, measure.good)
            beyond = measure.limit is not None and max(*ours_had, *theirs_had) > measure.limit
            if beyond or not measure.judged:
                found["verdict"] = UNJUDGED
            measures[measure.key] = found
        tracks = [
            {"seed": mine.seed, **comparison.over_tracks(mine, other)} for mine, other in both
        ]
        pairs.append({"ours": ours, "theirs": theirs, "seeds": [run.seed for run, _ in both],
                      "measures": measures, "lacking": lacking, "tracks": tracks})  # fmt: skip
    return {"rule": comparison.VERDICT, "pairs": pairs}


def of_the_grid(kept: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Returns the whole runs of the grid's cells by variant, both in the grid's order; a variant
    without one is left out."""
    whole = {run.cell: run for run in kept if run.error is None}
    found: dict[str, list[RunRecord]] = {}
    for variant in VARIANTS:
        names = [Cell(variant, seed).name for seed in variant.seeds]
        if runs_of := [whole[name] for name in names if name in whole]:
            found[variant.name] = runs_of
    return found


def _check_alike(kept: Sequence[RunRecord]) -> None:
    """Raises UserError unless all runs drove tracks of one name, with the same parameters but for
    those by which cells differ."""
    cells: dict[str, list[str]] = {}
    parameters: dict[str, list[str]] = {}
    for run in kept:
        if run.tracks is not None:
            cells.setdefault(f"{run.tracks} tracks", []).append(run.cell)
            parameters.setdefault(f"parameters {run.parameters or 'not known'}", []).append(
                run.cell
            )
    for of_each in (cells, parameters):
        if len(of_each) > 1:
            found = "; ".join(f"{name}: {', '.join(of)}" for name, of in of_each.items())
            raise UserError(f"{runs.RUNS}: returns on different tracks, or with different "
                            "parameters, do not compare; move the runs of one sort elsewhere "
                            f"({found})")  # fmt: skip
