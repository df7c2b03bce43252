"""Collect episodes of exploration on the fast renderer: data/episodes, metrics/collect.json."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from wm import artifacts, episodes, exploration, params
from wm.executor import hire
from wm.perf import measure
from wm.progress import Progress
from wm.scratch import Checkpoint
from wm.stage import main
from wm.workers import Recording, fast_garage, record

EPISODES = Path("data/episodes")


class Collect(params.Params):
    episodes: int = Field(ge=2)
    max_steps: int = Field(ge=1)
    random_share: float = Field(ge=0, le=1)
    """Share of episodes driven by exploration.Gusts; the others by exploration.Drift."""
    shard_episodes: int = Field(ge=1)
    """Episodes that a worker drives in lockstep and keeps in memory until they are written."""


def run() -> None:
    shared, collect = params.load("collect", Collect)
    key = {"seed": shared.seed, **collect.model_dump()}
    with Checkpoint("collect", key, []) as checkpoint, measure("collect", checkpoint) as meter:
        checkpoint.load()
        finished = checkpoint.directory / "episodes"
        finished.mkdir(exist_ok=True)
        done = episodes.ids_in(finished)
        missing = [id_ for id_ in range(collect.episodes) if id_ not in done]
        size = collect.shard_episodes
        shards = [missing[i : i + size] for i in range(0, len(missing), size)]
        tasks = [
            Recording(ids, shared.seed, collect.random_share, collect.max_steps, finished)
            for ids in shards
        ]
        with (
            Progress("collect", collect.episodes, "episodes", done=len(done)) as progress,
            hire(shared, fast_garage) as workers,
        ):
            for ids, frames in zip(shards, workers.map(record, tasks), strict=True):
                progress.advance(len(ids), frames=frames)
                checkpoint.save({})  # the episodes are safe; this keeps the seconds spent
        paths = [finished / episodes.file_name(id_) for id_ in range(collect.episodes)]
        metrics = exploration.coverage([episodes.EpisodeFile(path) for path in paths])
        meter.count("frames", int(metrics["frames"]))
        with artifacts.publish(EPISODES) as directory:
            # linked, not moved: a kill before the stage's end must find them here
            for path in paths:
                artifacts.link(path, directory / path.name)
        artifacts.write_json("metrics/collect.json", metrics)


if __name__ == "__main__":
    main(run)
