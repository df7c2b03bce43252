"""What the workers of collect do: drive episodes of exploration in lockstep and write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wm.core import seeding
from wm.core.car_racing import TELEMETRY, on_road
from wm.core.episodes import EpisodeFile
from wm.drive.rollout import rollout
from wm.drive.telemetry import telemetry
from wm.drive.workers import WorkerEnvs, save_recordings
from wm.exploration.policies import Exploration, draw_policy


@dataclass(frozen=True)
class RecordingTask:
    """Episodes of exploration to be driven in lockstep and written into `directory`."""

    ids: list[int]
    """The ids of the episodes, which name their files."""
    seed: int
    """The training seed; with an id it decides track, policy and actions."""
    random_share: float
    """The probability that an episode is driven by the random policy."""
    max_steps: int
    """The number of steps after which an episode is truncated."""
    directory: Path
    """The folder that takes the files."""


def record(envs: WorkerEnvs, task: RecordingTask) -> int:
    """Drives and writes the task's episodes; returns the number of their frames.

    Track, policy and actions of an episode come from (seed, id) alone: they depend neither on the
    other episodes of the task nor on the process that runs it.
    """
    streams = [seeding.generator(task.seed, "collect", "policy", id_) for id_ in task.ids]
    outcomes = rollout(
        envs.first(len(task.ids)),
        [seeding.integer(task.seed, "collect", "track", id_) for id_ in task.ids],
        Exploration([draw_policy(stream, task.random_share) for stream in streams]),
        max_steps=task.max_steps,
        telemetry=telemetry,
    )
    save_recordings(task.directory, task.ids, outcomes)
    return sum(outcome.steps + 1 for outcome in outcomes)


def coverage(files: Sequence[EpisodeFile]) -> dict[str, float]:
    """Returns what the episodes hold: totals, the share of frames on the road, and the 5th and 95th
    percentile of every telemetry value."""
    telemetry = np.concatenate([file.telemetry for file in files])
    metrics = {
        "episodes": len(files),
        "frames": len(telemetry),
        "return_mean": float(np.mean([file.rewards.sum() for file in files])),
        "on_road": float(on_road(telemetry).mean()),
    }
    for name, values in zip(TELEMETRY, telemetry.T, strict=True):
        metrics[f"{name}_p05"], metrics[f"{name}_p95"] = map(float, np.percentile(values, [5, 95]))
    return metrics
