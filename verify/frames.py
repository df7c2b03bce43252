"""The exact renderer beside gymnasium's, frame by frame, under drivers of both kinds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wm.core import seeding
from wm.core.errors import UserError
from wm.core.shards import shards
from wm.drive.rollout import rollout
from wm.env.exact.checked import CheckedCarRacing
from wm.exploration.policies import EpisodePolicy, Exploration, RandomPolicy, RoadFollower
from wm.runtime.executor import Processes
from wm.runtime.progress import Progress

DRIVERS: dict[str, Callable[[np.random.Generator], EpisodePolicy]] = {
    "road follower": RoadFollower,
    "random": RandomPolicy,
}
STEPS = 600
"""Of an episode, at most."""
ROW = 4
"""Episodes of a row."""


def rows(frames: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields rows of a few episodes each until at least `frames` frames were compared."""
    most = -(-frames // STEPS) * 40  # random drivers' episodes end early
    tasks = [(driver, part) for part in shards(range(most), ROW) for driver in DRIVERS]
    done = 0
    with (
        Progress("frames", frames, "frames") as progress,
        Processes(None, functools.partial(int, seed)) as executor,
    ):
        for row in executor.map(_row, tasks):
            yield row
            done += row["frames"]
            progress.advance(row["frames"])
            if done >= frames:
                return


def _row(seed: int, task: tuple[str, range]) -> dict[str, Any]:
    driver, ids = task
    compared, differs = 0, None
    for id_ in ids:
        track = seeding.integer(seed, "verify", f"{driver} track", id_)
        policy = DRIVERS[driver](seeding.generator(seed, "verify", driver, id_))
        env = CheckedCarRacing([track])
        try:
            (outcome,) = rollout([env], [track], Exploration([policy]), max_steps=STEPS)
        except UserError as error:
            differs = f"{error}"
            break
        compared += outcome.steps + 1
    return {"driver": driver, "episodes": len(ids), "frames": compared, "differs_at": differs}
