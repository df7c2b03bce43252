"""The exhibits as the report shows them: frames as small PNGs, drives as maps."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from study import figures, tracks
from study.figures import Panel
from study.formatting import number, signed
from study.grid import OURS, THEIRS, TITLES
from study.runs import EXHIBITS, RunRecord
from wm.core import artifacts
from wm.core.errors import UserError
from wm.report.figures import NAMES


@dataclass(frozen=True)
class Exhibits:
    """What results/exhibits.json and .safetensors hold; `study.exhibits` says what it is."""

    facts: dict[str, Any]
    """The content of the JSON."""
    tensors: dict[str, np.ndarray]
    """The arrays, by name."""


def read(kept: Sequence[RunRecord]) -> Exhibits | None:
    """Returns the exhibits, None if there are none of the runs that are kept, or if a kill has left
    two files that do not belong together; UserError when a file is damaged."""
    facts, tensors = EXHIBITS.with_suffix(".json"), EXHIBITS.with_suffix(".safetensors")
    if not (facts.exists() and tensors.exists()):
        return None
    exhibits = Exhibits(artifacts.read_json(facts), artifacts.load_tensors(tensors))
    if not (isinstance(exhibits.facts, dict) and isinstance(exhibits.facts.get("hashes"), dict)):
        raise UserError(f"{facts}: damaged; run python -m study exhibits")
    hashes = {run.cell: run.hashes for run in kept}
    of_these = all(hashes.get(cell) == of for cell, of in exhibits.facts["hashes"].items())
    together = exhibits.facts.get("tensors") == artifacts.digest(exhibits.tensors)
    return exhibits if of_these and together else None


def sample(exhibits: Exhibits | None) -> list[tuple[str, str]]:
    """Returns the middle one of the held-out frames and what both vision models make of it: titles
    and pictures."""
    if exhibits is None or "frames" not in exhibits.tensors:
        return []
    middle = len(exhibits.facts["ranks"]) // 2
    names = (("reality", "frames"), (TITLES[THEIRS], f"reconstruction_{THEIRS}"),
             (TITLES[OURS], f"reconstruction_{OURS}"))  # fmt: skip
    return [(title, _png(exhibits.tensors[name][middle])) for title, name in names]


def _rows(exhibits: Exhibits, names: dict[str, str]) -> list[dict[str, Any]]:
    """Returns rows of frames of the tensors `names` (title -> tensor)."""
    return [
        {"title": title, "variant": name.rpartition("_")[2],
         "frames": [_png(frame) for frame in exhibits.tensors[name]]}
        for title, name in names.items()
    ]  # fmt: skip


def reconstructions(exhibits: Exhibits | None) -> dict[str, Any] | None:
    """Returns held-out frames over both models' reconstructions with their errors, as rows of
    pictures under columns; None if there are none."""
    if exhibits is None or "frames" not in exhibits.tensors:
        return None
    rows = _rows(
        exhibits,
        {"original": "frames", **{TITLES[n]: f"reconstruction_{n}" for n in (THEIRS, OURS)}},
    )
    for row in rows[1:]:
        row["notes"] = [f"{1000 * error:.2f}" for error in exhibits.facts["mse"][row["variant"]]]
    return {"columns": rank_names(exhibits), "rows": rows}


def rank_names(exhibits: Exhibits) -> list[str]:
    """Returns what the columns of the reconstructions are called."""
    return [NAMES.get(rank, f"{rank} %") for rank in exhibits.facts["ranks"]]


def traversals(exhibits: Exhibits | None) -> list[dict[str, Any]]:
    """Returns for each model the values of the traversals and, a dimension each, its number, its KL
    in nats and the decoded frames as one picture."""
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
    """Returns frames, uint8 (n, 64, 64, 3), beside one another with `gap` white pixels between
    them, uint8 (64, n * (64 + gap) - gap, 3)."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=255)
    return np.concatenate(list(padded), axis=1)[:, :-gap]


def dreams(exhibits: Exhibits | None) -> dict[str, Any] | None:
    """Returns true frames over both memories' predictions, as rows of pictures under columns; None
    if there are none."""
    if exhibits is None or "dream_real" not in exhibits.tensors:
        return None
    names = {"reality": "dream_real", **{TITLES[n]: f"dream_{n}" for n in (THEIRS, OURS)}}
    return {"columns": step_names(exhibits), "rows": _rows(exhibits, names)}


def step_names(exhibits: Exhibits) -> list[str]:
    """Returns what the columns of the dreams are called."""
    return [f"{step} step{'s' * (step != 1)}" for step in exhibits.facts["dream_steps"]]


def trajectories(exhibits: Exhibits | None) -> list[tuple[Panel, dict[str, Any]]]:
    """Returns a map of each drive of the exhibits, and what is to be said of it."""
    found = []
    for index, facts in enumerate(exhibits.facts["drives"] if exhibits else []):
        assert exhibits is not None
        path, track = exhibits.tensors[f"path_{index}"], exhibits.tensors[f"track_{index}"]
        off, name = figures.off_road(path), facts["variant"]
        said = {
            **facts,
            "title": TITLES[name],
            "tracks": tracks.name([facts["seed"]]),
            "points": number(facts["return"], 0),
            "off": f"{100 * off.mean():.1f}",
            "times": len(figures.stretches(off)),
        }
        title = f"{TITLES[name]}, {facts['rank']}: {said['points']}"
        says = f"{title}; off the road {said['times']} times"
        draw = figures.trajectory(track, path, name, facts["lap_finished"])
        found.append((Panel(title, says, draw, 280), said))
    return found


def uri(content: bytes, kind: str) -> str:
    """Returns a picture of the media type `kind` as a URI that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _png(frame: np.ndarray) -> str:
    return uri(figures.frame_png(frame), "image/png")
