"""Official returns of uniformly random actions, the lowest reference: results/random_policy.csv."""

from __future__ import annotations

import functools

import numpy as np

from study.runs import RESULTS
from wm.core import artifacts, params, seeding
from wm.core.shards import shards
from wm.drive.rollout import Outcome, rollout
from wm.drive.workers import WorkerEnvs
from wm.env.exact.checked import Evaluate, maker
from wm.runtime.executor import Processes
from wm.runtime.progress import Progress

CSV = RESULTS / "random_policy.csv"


class UniformPolicy:
    """Draws steering, gas and brake uniformly, anew every step; implements rollout.Policy."""

    def __init__(self, ids: list[int]) -> None:
        self._streams = [seeding.generator(0, "random_policy", "actions", id_) for id_ in ids]

    def begin(self, count: int) -> None:
        """Starts `count` episodes; each has a stream of its own."""
        assert count == len(self._streams)

    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Returns actions, float32 (n, 3), whatever the frames, uint8 (n, 64, 64, 3)."""
        return np.stack([self._streams[i].uniform([-1, 0, 0], 1) for i in live]).astype(np.float32)


def drive(drives: Evaluate, envs: WorkerEnvs, ids: list[int]) -> list[Outcome]:
    """Returns the outcomes of the evaluation episodes `ids`."""
    every = drives.tracks
    seeds = [every[id_] for id_ in ids]
    policy = UniformPolicy(ids)
    return rollout(envs.first(len(ids)), seeds, policy, max_steps=drives.max_steps)


def write() -> None:
    """Drives the tracks of evaluate and writes the returns, in evaluate's columns."""
    _, drives = params.load("evaluate", Evaluate)
    rows: list[dict[str, float | int | bool]] = []
    tasks = shards(range(drives.episodes), drives.shard_episodes)
    with (
        Progress("random policy", drives.episodes, "episodes") as progress,
        Processes(None, functools.partial(WorkerEnvs, maker(drives))) as executor,
    ):
        for outcomes in executor.map(functools.partial(drive, drives), tasks):
            rows += [outcome.row(len(rows) + i) for i, outcome in enumerate(outcomes)]
            progress.advance(len(outcomes))
    artifacts.write_csv(CSV, rows)
