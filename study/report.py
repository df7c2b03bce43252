"""results/report.html, one file that opens anywhere, and the pictures of the README.

Everything is read from results/, and every number on the page comes from there: verdicts and
intervals from comparison.json, the rest from the runs and the exhibits. What is not there yet is
left out, or the page says which command makes it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from study import figures, grid, runs, table
from study.comparison import BETTER, MEASURES, NOT_SHOWN, RETURN, WORSE, Measure
from study.figures import Panel
from study.runs import RESULTS, Run
from wm import artifacts
from wm.errors import UserError

PAGE, PICTURES = RESULTS / "report.html", RESULTS / "figures"
EXHIBITS, RANDOM = RESULTS / "exhibits", RESULTS / "random_policy.csv"
TEMPLATE = Path(__file__).with_name("report.html")
OURS, THEIRS = "vaegan", "vae"
"""The pair that the question is about."""
RANKS = {0: "best", 50: "median", 100: "worst"}
TITLES = {variant.name: variant.title for variant in grid.VARIANTS}
BY_KEY = {measure.key: measure for measure in MEASURES}
MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


@dataclass(frozen=True)
class Claim:
    """What the sources say of the VAE-GAN, and the measures that tell."""

    text: str
    keys: tuple[str, ...]
    expects: str
    """The verdict on the VAE-GAN that bears the claim out."""
    beside: tuple[str, ...] = ()
    """Measures on which it names no side, or of which it does not speak."""
    note: str = ""
    """On those."""


CLAIMS = (
    Claim(
        "The VAE-GAN reconstructs better and captures more features.",
        tuple(measure.key for measure in MEASURES if measure.key.startswith("encode.")),
        BETTER,
    ),
    Claim(
        "It costs more time and memory to train.",
        ("train_vision.seconds", "train_vision.frames_per_second", "train_vision.peak_memory_mb"),
        WORSE,
    ),
    Claim(
        "It trains the memory (MDN-RNN) about as fast, to a better loss.",
        ("train_rnn.nll",),
        BETTER,
        (
            "train_rnn.nll_marginal",
            "train_rnn.nll_last_value",
            "train_rnn.seconds",
            *(f"train_rnn.open_loop_mse_{steps}" for steps in (1, 5, 15, 50)),
        ),
        "“About as fast” names no side: the ratio of the seconds tells. Of the baselines and of "
        "the open-loop errors the claim does not speak.",
    ),
    Claim(
        "It gives the controller a better reward.",
        ("evaluate.mean", "evaluate.std", "evaluate.min", "evaluate.laps_finished"),
        BETTER,
    ),
)
CONTROL_KEYS = (
    "evaluate.mean",
    "evaluate.std",
    "evaluate.min",
    "evaluate.laps_finished",
    "encode.ssim",
    "train_rnn.nll",
)
"""What a control is compared by."""
COLUMNS = (
    ("median", "evaluate.median", 1),
    ("min", "evaluate.min", 0),
    ("laps", "evaluate.laps_finished", 0),
    ("SSIM", "encode.ssim", 4),
    ("road IoU", "encode.road_iou", 4),
    ("NLL", "train_rnn.nll", 3),
    *((f"{stage} (s)", f"{stage}.seconds", 0) for stage in runs.CHAIN),
)
"""Of the table of all runs, after the return: title, key of Run.row(), digits."""


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


@dataclass(frozen=True)
class Whisker:
    """A difference and its intervals as places on a line, in percent of its width; 50 is no
    difference, and further right is better for ours."""

    mean: float
    bootstrap: tuple[float, float]
    t: tuple[float, float] | None
    seeds: list[float]


@dataclass(frozen=True)
class Row:
    """A measure of two variants, as text."""

    title: str
    good: str
    ours: str
    theirs: str
    difference: str
    bootstrap: str
    t: str
    ratio: str
    ahead: str
    ahead_interval: str
    verdict: str
    leader: str | None
    """The variant that the verdict puts ahead."""
    as_claimed: bool | None
    whisker: Whisker


@dataclass(frozen=True)
class Exhibits:
    """results/exhibits.json and .safetensors."""

    facts: dict[str, Any]
    tensors: dict[str, np.ndarray]


def write() -> None:
    """Writes the page and the pictures from what results/ holds; UserError if there is no run."""
    kept = table.with_shared_costs(runs.load_all())
    if not kept:
        raise UserError(f"{runs.RUNS}: no run yet; run make study")
    exhibits = _exhibits()
    comparison = artifacts.read_json(table.COMPARISON) if table.COMPARISON.exists() else None
    _write_pictures(kept, exhibits)
    artifacts.write_bytes(PAGE, _render(kept, comparison, exhibits).encode())


def _render(
    kept: Sequence[Run], comparison: dict[str, Any] | None, exhibits: Exhibits | None
) -> str:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "signed": signed}
    pairs = {
        (pair["ours"], pair["theirs"]): pair for pair in (comparison or {"pairs": []})["pairs"]
    }
    main = pairs.pop((OURS, THEIRS), None)
    answered = main is not None and RETURN.key in main["measures"]
    mine, others = _of_the_grid(kept)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        colours=figures.COLOURS,
        titles=TITLES,
        ours=OURS,
        theirs=THEIRS,
        not_shown=NOT_SHOWN,
        rule=(comparison or {}).get("rule"),
        headline=_headline(main) if answered else None,
        claims=[_claim(claim, main) for claim in CLAIMS] if answered else [],
        hero=_hero(exhibits),
        reconstructions=_reconstructions(exhibits),
        traversals=_traversals(exhibits),
        curves=[(panel, _svg(panel)) for panel in _curve_panels(mine, LEARNING + CONTROLLER)],
        returns=[(panel, _svg(panel)) for panel in _return_panels(mine)],
        seeds={name: [run.seed for run in mine.get(name, [])] for name in (THEIRS, OURS)},
        episodes=_episodes(mine),
        dreams=_dreams(exhibits),
        drives=[(panel, _svg(panel), facts) for panel, facts in _drives(exhibits)],
        cells=exhibits.facts["cells"] if exhibits else [],
        controls=[_control(pair) for pair in pairs.values()],
        variants=[(panel, _svg(panel)) for panel in _variant_panels(mine)],
        random=_random(),
        not_run=_not_run(kept),
        failed=[run for run in kept if run.error is not None],
        columns=[title for title, _, _ in COLUMNS],
        table=[_table_row(run) for run in sorted(kept, key=_in_order)],
        others=[run.cell for run in others],
        machines=_machines(kept),
        commits=sorted({run.commit[:7] for run in kept}),
    )  # fmt: skip


def number(value: float, digits: int, sign: str = "") -> str:
    """With thousands separated and a true minus."""
    return f"{value:{sign}z,.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int) -> str:
    """A number with its sign."""
    return number(value, digits, "+")


def _span(ends: Sequence[float], digits: int) -> str:
    return f"{signed(ends[0], digits)} to {signed(ends[1], digits)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _episodes(mine: dict[str, list[Run]]) -> str:
    """How many official episodes a run has: one number if all have the same, else both ends."""
    found = {run.metrics["evaluate"]["episodes"] for of in mine.values() for run in of}
    return DASH.join(number(end, 0) for end in sorted({min(found), max(found)})) if found else ""


def _of_the_grid(kept: Sequence[Run]) -> tuple[dict[str, list[Run]], list[Run]]:
    """The whole runs of the grid's cells by variant, in order, and the runs of no cell."""
    names = {cell.name for cell in grid.cells()}
    mine = {
        variant.name: sorted(
            (run for run in kept if run.variant == variant.name and run.cell in names
             and run.error is None),
            key=lambda run: run.seed,
        )
        for variant in grid.VARIANTS
    }  # fmt: skip
    return (
        {name: found for name, found in mine.items() if found},
        [run for run in kept if run.cell not in names],
    )


def _in_order(run: Run) -> tuple[bool, int, str, int]:
    """The grid's variants as they stand there, then the others."""
    place = list(TITLES).index(run.variant) if run.variant in TITLES else 0
    return run.variant not in TITLES, place, run.variant, run.seed


def _not_run(kept: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Variants with their cells that have no result."""
    done = {run.cell for run in kept}
    missing = [cell for cell in grid.cells() if cell.name not in done]
    return [
        (variant.name, cells)
        for variant in grid.VARIANTS
        if (cells := [cell.name for cell in missing if cell.variant == variant])
    ]


# the comparison


def _places(values: Sequence[float], extent: float, good: str) -> list[float]:
    sign = 1 if good == "higher" else -1
    return [round(50 + 48 * sign * value / extent, 2) for value in values]


def _row(pair: dict[str, Any], measure: Measure, expects: str | None) -> Row:
    found = pair["measures"][measure.key]
    ours, theirs = (np.array(found[side]["values"]) for side in ("ours", "theirs"))
    extent = max(map(abs, (*found["bootstrap"], *found["t"], *(ours - theirs)))) or 1.0
    mean, *ends = _places(
        [found["difference"], *found["bootstrap"], *found["t"]], extent, measure.good
    )
    verdict, mean_theirs = found["verdict"], found["theirs"]["mean"]
    decided = {BETTER: pair["ours"], WORSE: pair["theirs"]}
    # a difference is smaller than what it is one of
    digits = measure.digits + (measure.digits >= 3)
    ahead, *interval = found["probability_ahead"]
    return Row(
        title=measure.title,
        good=measure.good,
        ours=number(found["ours"]["mean"], measure.digits),
        theirs=number(mean_theirs, measure.digits),
        difference=signed(found["difference"], digits),
        bootstrap=_span(found["bootstrap"], digits),
        t=_span(found["t"], digits),
        ratio=_ratio(measure, found["ours"]["mean"], mean_theirs),
        ahead=_percent(ahead),
        ahead_interval=" to ".join(map(_percent, interval)),
        verdict=verdict,
        leader=decided.get(verdict),
        as_claimed=verdict == expects if expects and verdict in decided else None,
        whisker=Whisker(
            mean, (ends[0], ends[1]), (ends[2], ends[3]),
            _places(list(ours - theirs), extent, measure.good),
        ),
    )  # fmt: skip


def _ratio(measure: Measure, ours: float, theirs: float) -> str:
    """How many times theirs, of what a training costs."""
    costs = ("seconds", "per_second", "memory_mb")
    return f"{ours / theirs:.2f}" if measure.key.endswith(costs) and theirs else ""


def _headline(pair: dict[str, Any]) -> dict[str, Any]:
    """The answer, and the same tracks seed by seed on one scale."""
    found, tracks = pair["measures"][RETURN.key], pair["tracks"]
    extent = max((abs(end) for track in tracks for end in track["bootstrap"]), default=0.0) or 1.0
    return {
        "row": _row(pair, RETURN, None),
        "higher": found["difference"] > 0,
        "gap": number(abs(found["difference"]), RETURN.digits),
        "seeds": pair["seeds"],
        "iqm": {side: _iqm(found[side]["iqm"]) for side in ("ours", "theirs")},
        "dots": _dots(found),
        "tracks": [
            {
                "seed": track["seed"],
                "ours": number(mine, RETURN.digits),
                "theirs": number(other, RETURN.digits),
                "difference": signed(track["difference"], RETURN.digits),
                "bootstrap": _span(track["bootstrap"], RETURN.digits),
                "ahead": track["ahead"],
                "behind": track["behind"],
                "same": track["tracks"] - track["ahead"] - track["behind"],
                "n": track["tracks"],
                "whisker": _track_whisker(track, extent),
            }
            for track, mine, other in zip(
                tracks, found["ours"]["values"], found["theirs"]["values"], strict=True
            )
        ],
    }  # fmt: skip


def _track_whisker(track: dict[str, Any], extent: float) -> Whisker:
    mean, low, high = _places([track["difference"], *track["bootstrap"]], extent, RETURN.good)
    return Whisker(mean, (low, high), None, [])


def _dots(found: dict[str, Any]) -> dict[str, Any]:
    """Both variants' seeds on one line: the ends of the scale, and places in percent."""
    values = {side: np.array(found[side]["values"]) for side in ("ours", "theirs")}
    together = np.concatenate(list(values.values()))
    low, high = together.min(), together.max()
    places = {side: 3 + 94 * (of - low) / ((high - low) or 1.0) for side, of in values.items()}
    return {
        "low": number(low, RETURN.digits),
        "high": number(high, RETURN.digits),
        "seeds": {side: of.round(2).tolist() for side, of in places.items()},
        "mean": {side: round(float(of.mean()), 2) for side, of in places.items()},
    }


def _iqm(values: Sequence[float]) -> str:
    mean, low, high = (number(value, RETURN.digits) for value in values)
    return f"{mean} ({low} to {high})"


def _claim(claim: Claim, pair: dict[str, Any]) -> dict[str, Any]:
    measured = pair["measures"]
    rows = [_row(pair, BY_KEY[key], claim.expects) for key in claim.keys if key in measured]
    beside = [_row(pair, BY_KEY[key], None) for key in claim.beside if key in measured]
    return {
        "text": claim.text,
        "expects": claim.expects,
        "rows": rows,
        "beside": beside,
        "note": claim.note,
        "tally": _tally(rows),
        "tally_beside": _tally(beside),
        "borne_out": sum(row.verdict == claim.expects for row in rows),
    }


def _tally(rows: Sequence[Row]) -> str:
    verdicts = [row.verdict for row in rows]
    return ", ".join(f"{word} on {verdicts.count(word)}" for word in dict.fromkeys(verdicts))


def _control(pair: dict[str, Any]) -> dict[str, Any]:
    """A pair that is not the question's. What is the same in both, run for run, is only named:
    the control shares it."""
    measured = [BY_KEY[key] for key in CONTROL_KEYS if key in pair["measures"]]
    same = [m for m in measured if _same(pair["measures"][m.key])]
    return {
        "ours": pair["ours"],
        "theirs": pair["theirs"],
        "seeds": pair["seeds"],
        "rows": [_row(pair, measure, None) for measure in measured if measure not in same],
        "same": [measure.title for measure in same],
    }


def _same(found: dict[str, Any]) -> bool:
    return bool(found["ours"]["values"] == found["theirs"]["values"])


# curves and returns


def _curve_panels(mine: dict[str, list[Run]], wanted: Sequence[Curve]) -> list[Panel]:
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


def _return_panels(mine: dict[str, list[Run]]) -> list[Panel]:
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


def _variant_panels(mine: dict[str, list[Run]]) -> list[Panel]:
    rows = [
        (name, TITLES[name], np.array([run.metrics["evaluate"]["mean"] for run in found]))
        for name, found in mine.items()
    ]
    if not rows:
        return []
    says = "; ".join(f"{title}: {values.mean():.1f}" for _, title, values in rows)
    draw = figures.by_variant(rows)
    return [Panel("Mean return by variant", says, draw, 54 * len(rows) + 40)]


def _random() -> dict[str, Any] | None:
    if not RANDOM.exists():
        return None
    returns = pd.read_csv(RANDOM)["return"]
    return {"mean": float(returns.mean()), "std": float(returns.std()), "episodes": len(returns)}


# exhibits


def _exhibits() -> Exhibits | None:
    facts, tensors = EXHIBITS.with_suffix(".json"), EXHIBITS.with_suffix(".safetensors")
    if not (facts.exists() and tensors.exists()):
        return None
    return Exhibits(artifacts.read_json(facts), artifacts.load_tensors(tensors))


def _hero(exhibits: Exhibits | None) -> list[tuple[str, str]]:
    """The middle one of the held-out frames and what both eyes make of it: title, picture."""
    if exhibits is None or "frames" not in exhibits.tensors:
        return []
    middle = len(exhibits.facts["ranks"]) // 2
    names = (("reality", "frames"), (TITLES[THEIRS], f"reconstruction_{THEIRS}"),
             (TITLES[OURS], f"reconstruction_{OURS}"))  # fmt: skip
    return [(title, _png(exhibits.tensors[name][middle])) for title, name in names]


def _film_rows(exhibits: Exhibits, names: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of frames of the tensors `names` (title -> tensor)."""
    return [
        {"title": title, "variant": name.rpartition("_")[2],
         "frames": [_png(frame) for frame in exhibits.tensors[name]]}
        for title, name in names.items()
    ]  # fmt: skip


def _reconstructions(exhibits: Exhibits | None) -> dict[str, Any] | None:
    if exhibits is None or "frames" not in exhibits.tensors:
        return None
    rows = _film_rows(
        exhibits,
        {"original": "frames", **{TITLES[n]: f"reconstruction_{n}" for n in (THEIRS, OURS)}},
    )
    for row in rows[1:]:
        row["notes"] = [f"{1000 * error:.2f}" for error in exhibits.facts["mse"][row["variant"]]]
    return {"columns": _rank_names(exhibits), "rows": rows}


def _rank_names(exhibits: Exhibits) -> list[str]:
    return [RANKS.get(rank, f"{rank} %") for rank in exhibits.facts["ranks"]]


def _traversals(exhibits: Exhibits | None) -> list[dict[str, Any]]:
    if exhibits is None:
        return []
    found = []
    for name in (THEIRS, OURS):
        if (frames := exhibits.tensors.get(f"traversal_{name}")) is not None:
            facts = exhibits.facts["traversal"][name]
            strips = [_png(_strip(row)) for row in frames]
            found.append({
                "variant": name,
                "steps": [signed(value, 0) if value else "0"
                          for value in exhibits.facts["traversal_values"]],
                "rows": list(zip(facts["dimensions"], facts["kl"], strips, strict=True)),
            })  # fmt: skip
    return found


def _strip(frames: np.ndarray, gap: int = 2) -> np.ndarray:
    """Frames (n, 64, 64, 3) beside one another with white between them."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=255)
    return np.concatenate(list(padded), axis=1)[:, :-gap]


def _dreams(exhibits: Exhibits | None) -> dict[str, Any] | None:
    if exhibits is None or "dream_real" not in exhibits.tensors:
        return None
    names = {"reality": "dream_real", **{TITLES[n]: f"dream_{n}" for n in (THEIRS, OURS)}}
    return {"columns": _step_names(exhibits), "rows": _film_rows(exhibits, names)}


def _step_names(exhibits: Exhibits) -> list[str]:
    return [f"{step} step{'s' * (step != 1)}" for step in exhibits.facts["dream_steps"]]


def _drives(exhibits: Exhibits | None) -> list[tuple[Panel, dict[str, Any]]]:
    """A map for each drive of the exhibits, and what is to be said of it."""
    found = []
    for index, facts in enumerate(exhibits.facts["drives"] if exhibits else []):
        assert exhibits is not None
        path, track = exhibits.tensors[f"path_{index}"], exhibits.tensors[f"track_{index}"]
        off, name = figures.off_road(path), facts["variant"]
        said = {
            **facts,
            "title": TITLES[name],
            "points": number(facts["return"], 0),
            "off": f"{100 * off.mean():.1f}",
            "times": len(figures.stretches(off)),
        }
        title = f"{TITLES[name]}, {facts['rank']}: {said['points']}"
        says = f"{title}; off the road {said['times']} times"
        draw = figures.drive(track, path, name, facts["lap_finished"])
        found.append((Panel(title, says, draw, 280), said))
    return found


# the table of runs, and what made them


def _table_row(run: Run) -> dict[str, Any]:
    row = run.row()
    mean, std = (row.get(f"evaluate.{name}") for name in ("mean", "std"))
    return {
        "run": run,
        "variant": run.variant,
        "title": TITLES.get(run.variant, run.variant),
        "return": DASH if mean is None else number(mean, 1),
        "std": "" if std is None else number(std, 1),
        "numbers": [number(row[key], digits) if key in row else DASH for _, key, digits in COLUMNS],
        "commit": run.commit[:7],
    }


def _machines(kept: Sequence[Run]) -> list[str]:
    units = {"processor": "{}", "cores": "{} cores", "python": "Python {}", "torch": "PyTorch {}"}
    lines = {
        ", ".join(
            text.format(run.machine[key]) for key, text in units.items() if key in run.machine
        )
        for run in kept
    }
    return sorted(line for line in lines if line)


# pictures


def _write_pictures(kept: Sequence[Run], exhibits: Exhibits | None) -> None:
    """The README's PNGs, of what there is."""
    mine, _ = _of_the_grid(kept)
    key = {TITLES[name]: figures.COLOURS[name] for name in (THEIRS, OURS) if name in mine}
    if panels := _return_panels(mine):
        figures.sheet(PICTURES / "returns.png", panels, 3, key)
    if panels := _curve_panels(mine, CONTROLLER):
        figures.sheet(PICTURES / "curves.png", panels, 2, key)
    if drives := _drives(exhibits):
        figures.sheet(PICTURES / "drives.png", [panel for panel, _ in drives], 3)
    if exhibits is None:
        return
    for name, first, prefix, columns in (
        ("reconstructions", ("original", "frames"), "reconstruction", _rank_names(exhibits)),
        ("dreams", ("reality", "dream_real"), "dream", _step_names(exhibits)),
    ):
        if first[1] in exhibits.tensors:
            rows = [(first[0], figures.INK, exhibits.tensors[first[1]])] + [
                (TITLES[variant], figures.COLOURS[variant], exhibits.tensors[f"{prefix}_{variant}"])
                for variant in (THEIRS, OURS)
            ]
            figures.frames_sheet(PICTURES / f"{name}.png", rows, columns)


def _svg(panel: Panel) -> str:
    return _uri(figures.svg(panel), "image/svg+xml")


def _png(frame: np.ndarray) -> str:
    return _uri(figures.frame_png(frame), "image/png")


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
