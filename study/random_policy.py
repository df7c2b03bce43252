"""The floor: official returns of uniformly random actions, results/random_policy.csv."""

from __future__ import annotations

import functools

import numpy as np

from study.runs import RESULTS
from wm import artifacts, seeding
from wm.executor import Processes
from wm.progress import Progress
from wm.rollout import Outcome, rollout
from wm.workers import Garage

CSV = RESULTS / "random_policy.csv"
EPISODES, MAX_STEPS, SHARD = 100, 1000, 10


class RandomPolicy:
    """Uniform over steering, gas and brake, anew every step: a rollout.Policy."""

    def __init__(self, ids: list[int]) -> None:
        self._streams = [seeding.generator(0, "random policy", id_) for id_ in ids]

    def begin(self, count: int) -> None:
        """Starts the episodes; each has a stream of its own."""
        assert count == len(self._streams)

    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Actions float32 (n, 3), whatever the frames."""
        return np.stack([self._streams[i].uniform([-1, 0, 0], 1) for i in live]).astype(np.float32)


def drive(garage: Garage, ids: list[int]) -> list[Outcome]:
    """The outcomes of evaluation episodes `ids`."""
    seeds = [seeding.evaluation_seed(id_) for id_ in ids]
    return rollout(garage.envs(len(ids)), seeds, RandomPolicy(ids), max_steps=MAX_STEPS)


def write() -> None:
    """Drives the tracks of evaluate and writes the returns, in evaluate's columns."""
    shards = [list(range(i, i + SHARD)) for i in range(0, EPISODES, SHARD)]
    rows: list[dict[str, float | int | bool]] = []
    with (
        Progress("random policy", EPISODES, "episodes") as progress,
        Processes(None, functools.partial(Garage, "official")) as executor,
    ):
        for outcomes in executor.map(drive, shards):
            rows += [outcome.row(len(rows) + i) for i, outcome in enumerate(outcomes)]
            progress.advance(len(outcomes))
    artifacts.write_csv(CSV, rows)
