"""results/tables.md: the tables of README and docs/results.md, from what results/ holds.

Both show them as they stand there (`tests/test_documents.py`), so no number is copied by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from study import claims, runs, table
from study.comparison import MEASURES
from study.formatting import MINUS, number, signed, span
from study.grid import OURS, THEIRS, TITLES
from study.returns import FAILED, PAPER_EPISODES, iqm
from study.runs import RESULTS, RunRecord
from wm.core import artifacts
from wm.report.statistics import summary

TABLES = RESULTS / "tables.md"
HEADLINES = {
    "evaluate.mean": "official return",
    "evaluate.iqm": "its interquartile mean over the tracks",
    "evaluate.failed_percent": f"drives below {FAILED} (%)",
    "evaluate.first_mean": f"official return, first {PAPER_EPISODES} tracks",
    "encode.ssim": "SSIM of reconstructions",
    "encode.sharpness": "their sharpness (the original's is 1)",
    "train_rnn.nll_gain": "memory's gain on a linear filter (nats a dimension)",
}
"""The measures of the first table, the README's, with their titles there."""
DASH = "\N{EN DASH}"
COLUMNS = (
    ("SSIM", "encode.ssim", 3),
    ("sharpness", "encode.sharpness", 3),
    ("memory: gain on the linear filter, nats a dimension", "train_rnn.nll_gain", 3),
    ("vision model, s", "train_vision.seconds", 0),
    ("memory, s", "train_rnn.seconds", 0),
    ("search, s", "train_controller.seconds", 0),
    ("evaluation, s", "evaluate.seconds", 0),
)
"""Columns of the table of what was trained: title, key of RunRecord.row(), digits."""


def write() -> None:
    """Writes the tables of what results/ holds."""
    kept = table.with_shared_costs(runs.load_all())
    pairs = artifacts.read_json(table.COMPARISON)["pairs"]
    artifacts.write_bytes(TABLES, ("\n\n".join(tables(kept, pairs)) + "\n").encode())


def tables(kept: Sequence[RunRecord], pairs: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the tables in Markdown, of the pairs of comparison.json and of the grid's runs that
    did not fail."""
    order = list(TITLES)
    whole = [run for run in kept if run.error is None and run.variant in order]
    whole.sort(key=lambda run: (order.index(run.variant), run.seed))
    main = [pair for pair in pairs if (pair["ours"], pair["theirs"]) == (OURS, THEIRS)]
    found = [_headlines(pair) for pair in main if pair["measures"]]
    found += [_returns(whole), _differences(pairs)]
    found += [_measures(pair) for pair in main if pair["measures"]]
    return [*found, _trained(whole)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("|  |", "| |")


def _headlines(pair: dict[str, Any]) -> str:
    theirs, ours, seeds = TITLES[pair["theirs"]], TITLES[pair["ours"]], len(pair["seeds"])
    header = ("", theirs, ours, f"{ours} {MINUS} {theirs}, {seeds} seeds (95 % t interval)",
              f"verdict on the {ours}")  # fmt: skip
    rows = []
    for key, title in HEADLINES.items():
        if key in pair["measures"]:
            row = claims.row(pair, claims.BY_KEY[key])
            difference = f"{row.difference} ({row.t})"
            rows.append((title, row.theirs, row.ours, difference, row.verdict))
    return _table(header, rows)


def _returns(kept: Sequence[RunRecord]) -> str:
    header = ("", "mean ± std", "95 % of the mean", "median", "IQM", f"below {FAILED}", "worst",
              "laps", f"first {PAPER_EPISODES}")  # fmt: skip
    rows = []
    for run in kept:
        drives = run.curve("evaluate")
        returns = drives["return"].to_numpy(np.float64)
        of, first = summary(returns), summary(returns[:PAPER_EPISODES])
        rows.append((
            _title(run), _spread(of),
            " to ".join(number(of[f"ci95_{end}"], 1) for end in ("low", "high")),
            number(of["median"], 1), number(float(iqm(returns)), 1), _failed(returns),
            number(of["min"], 0), f"{drives['lap_finished'].sum()} of {len(returns):,}",
            _spread(first),
        ))  # fmt: skip
    return _table(header, rows)


def _differences(pairs: Sequence[dict[str, Any]]) -> str:
    header = ("on the same tracks", "seed", "difference of the means", "95 % over the tracks",
              "tracks ahead", "behind")  # fmt: skip
    rows = [
        (f"{TITLES[pair['ours']]} {MINUS} {TITLES[pair['theirs']]}", str(of["seed"]),
         signed(of["difference"], 1), span(of["bootstrap"], 1), str(of["ahead"]),
         str(of["behind"]))
        for pair in pairs for of in pair["tracks"]
    ]  # fmt: skip
    return _table(header, rows)


def _measures(pair: dict[str, Any]) -> str:
    ours, theirs = TITLES[pair["ours"]], TITLES[pair["theirs"]]
    header = (f"mean over {len(pair['seeds'])} seeds", theirs, ours, "difference",
              "95 % bootstrap", "95 % Student's t", f"the {ours} is")  # fmt: skip
    rows = [claims.row(pair, measure) for measure in MEASURES if measure.key in pair["measures"]]
    return _table(
        header,
        [(row.title, row.theirs, row.ours, row.difference, row.bootstrap, row.t, row.verdict)
         for row in rows],
    )  # fmt: skip


def _trained(kept: Sequence[RunRecord]) -> str:
    rows = []
    for run in kept:
        values = run.row()
        numbers = [number(values[key], digits) if key in values else DASH
                   for _, key, digits in COLUMNS]  # fmt: skip
        processor = str(run.machine.get("processor", DASH))
        rows.append((_title(run), *numbers, processor, f"`{run.commit[:7]}`"))
    return _table(("", *(title for title, _, _ in COLUMNS), "processor", "commit"), rows)


def _title(run: RunRecord) -> str:
    return f"{TITLES[run.variant]}, seed {run.seed}"


def _spread(of: dict[str, float]) -> str:
    return f"{number(of['mean'], 1)} ± {number(of['std'], 1)}"


def _failed(returns: np.ndarray) -> str:
    failed = returns < FAILED
    return f"{failed.sum()} ({number(100 * failed.mean(), 2)} %)"
