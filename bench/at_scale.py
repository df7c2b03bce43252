"""A generation of CMA-ES on more cores than are at hand, by simulation: python -m bench.at_scale
writes bench/at_scale.json, which docs/scale.md reads.

What goes in is measured: bench/cluster.json (a lockstep's seconds, a task's dispatch, CMA-ES) and
the steps of the first study's official episodes (results/development). What is assumed: workers as
fast as the measured one, a network that is not the limit, and dispatch that is serial, as in one
Dask scheduler.
"""

from __future__ import annotations

import csv
import heapq
import re
from pathlib import Path
from typing import Any

import numpy as np

from bench.cluster import RESULTS as MEASURED
from wm.core import artifacts
from wm.runtime.entry import command

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "at_scale.json"
POPULATION, TRACKS = 1024, 16
CORES = (1, 2, 16, 64, 256, 512, 1000, 1024, 4096)
SHARDS = (1, 2, 4, 8)  # candidates of a task


def main() -> None:
    measured = artifacts.read_json(MEASURED)
    step, episode = _lockstep(measured["rows"])
    dispatch = measured["milliseconds_a_task"]["Dask workers, 2"] / 1000
    update = measured["cma_seconds"][str(POPULATION)]
    steps = np.random.default_rng(0).choice(_official_steps(), (POPULATION, TRACKS))
    rows = []
    for shard in SHARDS:
        tasks = _tasks(steps, shard, step, episode)
        whole = update + _generation(tasks, 1, dispatch)
        for cores in CORES:
            seconds = update + _generation(tasks, cores, dispatch)
            rows.append({
                "shard_candidates": shard, "cores": cores, "seconds": round(seconds, 2),
                "speed_up": round(whole / seconds, 1),
                "efficiency": round(whole / seconds / cores, 3),
                "without_dispatch": round(update + _generation(tasks, cores, 0.0), 2),
            })  # fmt: skip
            print(rows[-1])
    content: dict[str, Any] = {
        "measured": {name: measured[name] for name in ("machine", "commit") if name in measured},
        "population": POPULATION,
        "tracks": TRACKS,
        "steps_of_an_episode": round(float(steps.mean())),
        "milliseconds_a_lockstep": round(step * 1000, 3),
        "milliseconds_an_episode_s_step": round(episode * 1000, 3),
        "milliseconds_of_dispatch": dispatch * 1000,
        "seconds_of_cma": update,
        "rows": rows,
    }
    artifacts.write_json(RESULTS, content)


def _lockstep(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Seconds that a step of a lockstep takes, whatever its size, and for each episode in it."""
    rates = {int(row["contender"]): row["median"] for row in rows if "lockstep" in row["contest"]}
    sizes = np.array(sorted(rates))
    seconds = sizes / np.array([rates[size] for size in sizes])
    # relative errors: else the largest lockstep alone would decide
    terms = np.stack([np.ones(len(sizes)), sizes], axis=1) / seconds[:, None]
    fixed, each = np.linalg.lstsq(terms, np.ones(len(sizes)), rcond=None)[0]
    return float(fixed), float(each)


def _official_steps() -> np.ndarray:
    steps: list[int] = []
    for file in sorted((ROOT / "results/development/runs").glob("*/evaluate.csv")):
        if re.fullmatch(r"(vae|vaegan)-\d+", file.parent.name):
            with file.open(newline="") as lines:
                steps += [int(row["steps"]) for row in csv.DictReader(lines)]
    return np.array(steps)


def _tasks(steps: np.ndarray, shard: int, step: float, episode: float) -> np.ndarray:
    """Seconds of each task: a lockstep lasts as long as its longest episode, and an episode that
    is over costs no more."""
    together = steps.reshape(len(steps) // shard, -1)
    return np.asarray(step * together.max(axis=1) + episode * together.sum(axis=1))


def _generation(tasks: np.ndarray, cores: int, dispatch: float) -> float:
    """Seconds until the last task ends, each given to the first worker that is free."""
    free = [0.0] * cores
    for number, seconds in enumerate(tasks):
        start = max(heapq.heappop(free), dispatch * (number + 1))
        heapq.heappush(free, start + seconds)
    return float(max(free))


if __name__ == "__main__":
    command(main)
