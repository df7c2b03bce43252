"""results/tables.md: the tables of docs/results.md, the first one the README's too, from results/.

The documents show them as they stand there (`tests/test_documents.py`): no number of a table is
copied by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from study import claims, runs, table
from study.comparison import MEASURES, RETURN
from study.formatting import DASH, MINUS, Column, number, numbers, signed, span
from study.grid import OURS, THEIRS, TITLES
from study.returns import FAILED, PAPER_EPISODES
from study.runs import RESULTS, RunRecord
from wm.core import artifacts

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
"""The measures of the first table, with titles that need no table around them."""
TRAINED: tuple[Column, ...] = (
    ("SSIM", "encode.ssim", 3),
    ("sharpness", "encode.sharpness", 3),
    ("memory's gain", "train_rnn.nll_gain", 3),
    ("vision model, s", "train_vision.seconds", 0),
    ("memory, s", "train_rnn.seconds", 0),
    ("search, s", "train_controller.seconds", 0),
    ("evaluation, s", "evaluate.seconds", 0),
)
"""Columns of the table of what was trained."""


def write() -> None:
    """Writes the tables of what results/ holds."""
    kept = table.with_shared_costs(runs.load_all())
    pairs = artifacts.read_json(table.COMPARISON)["pairs"]
    artifacts.write_bytes(TABLES, ("\n\n".join(tables(kept, pairs)) + "\n").encode())


def tables(kept: Sequence[RunRecord], pairs: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the tables in Markdown, of the pairs of comparison.json and of the grid's runs: the
    answer in short and every measure, if the pair that the question is about has them; the returns
    of each run, and of one that failed the reason; the differences within a seed; what was trained;
    the controls, if there are any.
    """
    whole = [run for of in table.of_the_grid(kept).values() for run in of]
    failed = [run for run in kept if run.error is not None and run.variant in TITLES]
    main = [pair for pair in pairs if _of_the_question(pair) and pair["measures"]]
    controls = [pair for pair in pairs if not _of_the_question(pair)]
    return [
        *map(_headlines, main),
        *map(_measures, main),
        _returns(whole, failed),
        _differences(pairs),
        _trained(whole),
        *([_controls(controls, whole)] if controls else []),
    ]


def _of_the_question(pair: dict[str, Any]) -> bool:
    return (pair["ours"], pair["theirs"]) == (OURS, THEIRS)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _headlines(pair: dict[str, Any]) -> str:
    theirs, ours, seeds = TITLES[pair["theirs"]], TITLES[pair["ours"]], len(pair["seeds"])
    rows = []
    for key, title in HEADLINES.items():
        if key in pair["measures"]:
            row = claims.row(pair, claims.BY_KEY[key])
            rows.append((title, row.theirs, row.ours, f"{row.difference} ({row.t})", row.verdict))
    difference = f"{ours} {MINUS} {theirs}, {seeds} seeds (95 % t interval)"
    return _table(("mean over seeds", theirs, ours, difference, f"the {ours} is"), rows)


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


def _returns(whole: Sequence[RunRecord], failed: Sequence[RunRecord]) -> str:
    rows: list[Sequence[str]] = []
    for run in whole:
        of = {key.removeprefix("evaluate."): value for key, value in run.row().items()}
        episodes = of["episodes"]
        rows.append((
            run.cell,
            _spread(of["mean"], of["std"]),
            f"{number(of['ci95_low'], 1)} to {number(of['ci95_high'], 1)}",
            number(of["median"], 1),
            number(of["iqm"], 1),
            f"{number(of['failed_percent'] * episodes / 100, 0)} "
            f"({number(of['failed_percent'], 2)} %)",
            number(of["min"], 0),
            f"{number(of['laps_finished'], 0)} of {number(episodes, 0)}",
            _spread(of["first_mean"], of["first_std"]),
        ))  # fmt: skip
    for run in failed:
        reason = " ".join(str(run.error).split()).replace("|", "\\|")
        rows.append((run.cell, f"failed: {reason}", *[""] * 7))
    header = ("run", "mean ± std", "95 % of the mean", "median", "IQM", f"below {FAILED}", "worst",
              "laps", f"first {PAPER_EPISODES}")  # fmt: skip
    return _table(header, rows)


def _differences(pairs: Sequence[dict[str, Any]]) -> str:
    rows = [
        (f"{pair['ours']} {MINUS} {pair['theirs']}", str(of["seed"]),
         signed(of["difference"], 1), span(of["bootstrap"], 1), number(of["ahead"], 0),
         number(of["behind"], 0))
        for pair in pairs for of in pair["tracks"]
    ]  # fmt: skip
    header = ("on the same tracks", "seed", "difference of the means", "95 % over the tracks",
              "tracks ahead", "behind")  # fmt: skip
    return _table(header, rows)


def _trained(whole: Sequence[RunRecord]) -> str:
    rows = [
        (run.cell, *numbers(run.row(), TRAINED), str(run.machine.get("processor", DASH)),
         f"`{run.commit[:7]}`")
        for run in whole
    ]  # fmt: skip
    return _table(("run", *(title for title, _, _ in TRAINED), "processor", "commit"), rows)


def _controls(pairs: Sequence[dict[str, Any]], whole: Sequence[RunRecord]) -> str:
    of = {(run.variant, run.seed): run.row() for run in whole}
    rows = []
    for pair in pairs:
        # its own mean over the seeds, and that of what it is held against
        returns, failed = (
            [fmean(of[side, seed][key] for seed in pair["seeds"])
             for side in (pair["ours"], pair["theirs"])]
            for key in (RETURN.key, "evaluate.failed_percent")
        )  # fmt: skip
        found = pair["measures"].get(RETURN.key)
        interval = span(found["t"] if found else pair["tracks"][0]["bootstrap"], 1)
        rows.append((
            f"{pair['ours']}: {TITLES[pair['ours']]}",
            pair["theirs"],
            ", ".join(map(str, pair["seeds"])),
            *(number(mean, 1) for mean in returns),
            f"{signed(returns[0] - returns[1], 1)} ({interval})",
            " / ".join(number(percent, 2) for percent in failed),
        ))  # fmt: skip
    header = ("control", "held against", "seeds", "return", "return of that", "difference (95 %)",
              f"below {FAILED} (%): control / that")  # fmt: skip
    return _table(header, rows)


def _spread(mean: float, std: float) -> str:
    return f"{number(mean, 1)} ± {number(std, 1)}"
