"""Collect episodes of exploration on the fast renderer: data/episodes, metrics/collect.json."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pydantic import Field

from wm.core import artifacts, episodes, params, processor
from wm.core.shards import shards
from wm.drive.workers import WorkerEnvs
from wm.env.fast import environment
from wm.exploration.recording import RecordingTask, coverage, record
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.executor import create_executor
from wm.runtime.perf import measure
from wm.runtime.progress import Progress

EPISODES = Path("data/episodes")


class Collect(params.Params):
    """The parameters of the stage collect."""

    episodes: int = Field(ge=2)
    """Episodes to collect."""
    max_steps: int = Field(ge=1)
    """The number of steps after which an episode is truncated."""
    random_share: float = Field(ge=0, le=1)
    """The chance that an episode is driven by a RandomPolicy; the others are a RoadFollower's."""
    shard_episodes: int = Field(ge=1)
    """Episodes that a worker drives in lockstep and keeps in memory until they are written."""


def run() -> None:
    shared, collect = params.load("collect", Collect)
    processor.demand(shared)  # what later stages need, before this one is paid for
    key = {"seed": shared.seed, **collect.model_dump()}
    with (
        Checkpoint("collect", key, []) as checkpoint,
        measure("collect", checkpoint.elapsed) as meter,
    ):
        checkpoint.load()
        finished = checkpoint.directory / "episodes"
        finished.mkdir(exist_ok=True)
        done = episodes.ids_in(finished)
        missing = [id_ for id_ in range(collect.episodes) if id_ not in done]
        parts = shards(missing, collect.shard_episodes)
        tasks = [
            RecordingTask(ids, shared.seed, collect.random_share, collect.max_steps, finished)
            for ids in parts
        ]
        with (
            Progress("collect", collect.episodes, "episodes", done=len(done)) as progress,
            create_executor(shared, partial(WorkerEnvs, environment.make)) as executor,
        ):
            for ids, _ in zip(parts, executor.map(record, tasks), strict=True):
                progress.advance(len(ids))
                checkpoint.save({})  # the episodes are safe; this keeps the seconds spent
        paths = [finished / episodes.file_name(id_) for id_ in range(collect.episodes)]
        metrics = coverage([episodes.EpisodeFile(path) for path in paths])
        meter.count("frames", int(metrics["frames"]))
        with artifacts.publish(EPISODES) as directory:
            # linked, not moved: a kill before the stage's end must find them here
            for path in paths:
                artifacts.link(path, directory / path.name)
        artifacts.write_json("metrics/collect.json", metrics)


if __name__ == "__main__":
    main(run)
