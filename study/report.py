"""results/report.html, one file that opens anywhere, and the pictures of docs/results.md.

Everything is read from results/, and every number on the page comes from there: verdicts and
intervals from comparison.json, the rest from the runs and the exhibits. What is not there yet is
left out, or the page says which command makes it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from study import claims, figures, grid, panels, pictures, random_policy, runs, table, tracks
from study.comparison import NOT_SHOWN, RETURN
from study.figures import Panel
from study.formatting import DASH, Column, number, numbers, signed
from study.grid import OURS, THEIRS, TITLES
from study.pictures import Exhibits
from study.returns import FAILED, PAPER_EPISODES
from study.runs import RESULTS, RunRecord
from wm.core import artifacts
from wm.core.errors import UserError

PAGE, FIGURES = RESULTS / "report.html", RESULTS / "figures"
TEMPLATE = Path(__file__).with_name("report.html")
COLUMNS: tuple[Column, ...] = (
    (f"first {PAPER_EPISODES}", "evaluate.first_mean", 1),
    ("± std", "evaluate.first_std", 1),
    ("IQM over tracks", "evaluate.iqm", 1),
    ("median", "evaluate.median", 1),
    (f"below {FAILED} (%)", "evaluate.failed_percent", 2),
    ("min", "evaluate.min", 0),
    ("laps", "evaluate.laps_finished", 0),
    ("SSIM", "encode.ssim", 4),
    ("road IoU", "encode.road_iou", 4),
    ("NLL", "train_rnn.nll", 3),
    *((f"{stage} (s)", f"{stage}.seconds", 0) for stage in runs.CHAIN),
)
"""Columns of the table of all runs, after the return."""


def write() -> None:
    """Writes the page and the pictures from what results/ holds; UserError if there is no run."""
    kept = table.with_shared_costs(runs.load_all())
    if not kept:
        raise UserError(f"{runs.RUNS}: no run yet; run make study")
    exhibits = pictures.read(kept)
    if exhibits is None:
        print(f"{FIGURES}: pictures of frames and drives are left as they are: there are no "
              "exhibits that fit these runs; python -m study exhibits makes them",
              file=sys.stderr)  # fmt: skip
    comparison = artifacts.read_json(table.COMPARISON)
    _write_pictures(kept, exhibits)
    artifacts.write_bytes(PAGE, _render(kept, comparison, exhibits).encode())


def _render(
    kept: Sequence[RunRecord], comparison: dict[str, Any], exhibits: Exhibits | None
) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "signed": signed}
    pairs = {(pair["ours"], pair["theirs"]): pair for pair in comparison["pairs"]}
    main = pairs.pop((OURS, THEIRS), None)
    answered = main is not None and RETURN.key in main["measures"]
    mine, names = table.of_the_grid(kept), {cell.name for cell in grid.cells()}
    driven = " and ".join(sorted({run.tracks for run in kept if run.tracks}))
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        colours=figures.COLOURS,
        titles=TITLES,
        ours=OURS,
        theirs=THEIRS,
        not_shown=NOT_SHOWN,
        rule=comparison["rule"],
        headline=claims.headline(main) if answered else None,
        claims=[claims.measured(claim, main) for claim in claims.CLAIMS] if answered else [],
        sample=pictures.sample(exhibits),
        reconstructions=pictures.reconstructions(exhibits),
        traversals=pictures.traversals(exhibits),
        curves=_drawn(panels.curve_panels(mine, panels.LEARNING + panels.CONTROLLER)),
        returns=_drawn(panels.return_panels(mine)),
        seeds={name: [run.seed for run in mine.get(name, [])] for name in (THEIRS, OURS)},
        episodes=_episodes(mine),
        tracks=driven,
        about_tracks=tracks.ABOUT.get(driven, ""),
        dreams=pictures.dreams(exhibits),
        drives=[(panel, _svg(panel), facts) for panel, facts in pictures.trajectories(exhibits)],
        cells=exhibits.facts["cells"] if exhibits else [],
        controls=[claims.control(pair) for pair in pairs.values()],
        variants=_drawn(panels.variant_panels(mine)),
        random=_random(),
        not_run=_not_run(kept),
        failed=[run for run in kept if run.error is not None],
        columns=[title for title, _, _ in COLUMNS],
        table=[_table_row(run) for run in sorted(kept, key=_in_order)],
        others=[run.cell for run in kept if run.cell not in names],
        machines=_machines(kept),
        commits=sorted({run.commit[:7] for run in kept}),
    )  # fmt: skip


def _episodes(mine: dict[str, list[RunRecord]]) -> str:
    """Returns how many episodes of evaluate a run has: one number if all have the same, else both
    ends."""
    found = {run.metrics["evaluate"]["episodes"] for of in mine.values() for run in of}
    return DASH.join(number(end, 0) for end in sorted({min(found), max(found)})) if found else ""


def _in_order(run: RunRecord) -> tuple[bool, int, str, int]:
    """Returns a key that sorts the grid's variants as they stand there, then the others."""
    place = list(TITLES).index(run.variant) if run.variant in TITLES else 0
    return run.variant not in TITLES, place, run.variant, run.seed


def _not_run(kept: Sequence[RunRecord]) -> list[tuple[str, list[str]]]:
    """Returns variants with their cells that have no result."""
    done = {run.cell for run in kept}
    missing = [cell for cell in grid.cells() if cell.name not in done]
    return [
        (variant.name, cells)
        for variant in grid.VARIANTS
        if (cells := [cell.name for cell in missing if cell.variant == variant])
    ]


def _random() -> dict[str, Any] | None:
    if not random_policy.CSV.exists():
        return None
    drives = runs.read_csv(random_policy.CSV)
    returns = drives["return"]
    return {"mean": float(returns.mean()), "std": float(returns.std()), "episodes": len(returns),
            "tracks": tracks.name(drives["seed"])}  # fmt: skip


# the table of runs, and what made them


def _table_row(run: RunRecord) -> dict[str, Any]:
    row = run.row()
    mean, std = (row.get(f"evaluate.{name}") for name in ("mean", "std"))
    return {
        "run": run,
        "variant": run.variant,
        "title": TITLES.get(run.variant, run.variant),
        "return": DASH if mean is None else number(mean, 1),
        "std": "" if std is None else number(std, 1),
        "numbers": numbers(row, COLUMNS),
        "tracks": run.tracks or "",
        "commit": run.commit[:7],
        "processor": run.machine.get("processor", ""),
    }


def _machines(kept: Sequence[RunRecord]) -> list[str]:
    units = {"processor": "{}", "cores": "{} cores", "python": "Python {}", "torch": "PyTorch {}"}
    lines = {
        ", ".join(
            text.format(run.machine[key]) for key, text in units.items() if key in run.machine
        )
        for run in kept
    }
    return sorted(line for line in lines if line)


# pictures


def _write_pictures(kept: Sequence[RunRecord], exhibits: Exhibits | None) -> None:
    """Writes the PNGs of docs/results.md, of what there is."""
    mine = table.of_the_grid(kept)
    key = {TITLES[name]: figures.COLOURS[name] for name in (THEIRS, OURS) if name in mine}
    if charts := panels.return_panels(mine):
        figures.sheet(FIGURES / "returns.png", charts, 3, key)
    if charts := panels.curve_panels(mine, panels.CONTROLLER):
        figures.sheet(FIGURES / "curves.png", charts, 2, key)
    if maps := pictures.trajectories(exhibits):
        figures.sheet(FIGURES / "drives.png", [panel for panel, _ in maps], 3)
    if exhibits is None:
        return
    ranks, steps = pictures.rank_names(exhibits), pictures.step_names(exhibits)
    for name, first, prefix, columns in (
        ("reconstructions", ("original", "frames"), "reconstruction", ranks),
        ("dreams", ("reality", "dream_real"), "dream", steps),
    ):
        if first[1] in exhibits.tensors:
            rows = [(first[0], figures.INK, exhibits.tensors[first[1]])] + [
                (TITLES[variant], figures.COLOURS[variant], exhibits.tensors[f"{prefix}_{variant}"])
                for variant in (THEIRS, OURS)
            ]
            figures.frames_sheet(FIGURES / f"{name}.png", rows, columns)


def _drawn(charts: Sequence[Panel]) -> list[tuple[Panel, str]]:
    return [(panel, _svg(panel)) for panel in charts]


def _svg(panel: Panel) -> str:
    return pictures.uri(figures.svg(panel), "image/svg+xml")
