"""The exhibits as the report shows them: frames as small PNGs, drives as maps."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from study import figures
from study.figures import Panel
from study.grid import OURS, THEIRS, TITLES
from study.runs import EXHIBITS
from study.typography import number, signed
from wm import artifacts

RANKS = {0: "best", 50: "median", 100: "worst"}


@dataclass(frozen=True)
class Exhibits:
    """results/exhibits.json and .safetensors."""

    facts: dict[str, Any]
    tensors: dict[str, np.ndarray]


def read() -> Exhibits | None:
    facts, tensors = EXHIBITS.with_suffix(".json"), EXHIBITS.with_suffix(".safetensors")
    if not (facts.exists() and tensors.exists()):
        return None
    return Exhibits(artifacts.read_json(facts), artifacts.load_tensors(tensors))


def hero(exhibits: Exhibits | None) -> list[tuple[str, str]]:
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


def reconstructions(exhibits: Exhibits | None) -> dict[str, Any] | None:
    if exhibits is None or "frames" not in exhibits.tensors:
        return None
    rows = _film_rows(
        exhibits,
        {"original": "frames", **{TITLES[n]: f"reconstruction_{n}" for n in (THEIRS, OURS)}},
    )
    for row in rows[1:]:
        row["notes"] = [f"{1000 * error:.2f}" for error in exhibits.facts["mse"][row["variant"]]]
    return {"columns": rank_names(exhibits), "rows": rows}


def rank_names(exhibits: Exhibits) -> list[str]:
    return [RANKS.get(rank, f"{rank} %") for rank in exhibits.facts["ranks"]]


def traversals(exhibits: Exhibits | None) -> list[dict[str, Any]]:
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


def dreams(exhibits: Exhibits | None) -> dict[str, Any] | None:
    if exhibits is None or "dream_real" not in exhibits.tensors:
        return None
    names = {"reality": "dream_real", **{TITLES[n]: f"dream_{n}" for n in (THEIRS, OURS)}}
    return {"columns": step_names(exhibits), "rows": _film_rows(exhibits, names)}


def step_names(exhibits: Exhibits) -> list[str]:
    return [f"{step} step{'s' * (step != 1)}" for step in exhibits.facts["dream_steps"]]


def drives(exhibits: Exhibits | None) -> list[tuple[Panel, dict[str, Any]]]:
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


def uri(content: bytes, kind: str) -> str:
    """A picture as text that a page can hold."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _png(frame: np.ndarray) -> str:
    return uri(figures.frame_png(frame), "image/png")
