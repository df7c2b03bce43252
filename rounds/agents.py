"""The agent of the rounds, the pipeline's vision model and memory, at the wheel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rounds.folders import MEMORY
from wm.control.policy.driving import AgentSpec, RolloutTask, RolloutWorker, drive_task
from wm.core.params import SharedParams
from wm.drive.workers import MakeEnv
from wm.runtime.executor import Executor
from wm.runtime.progress import Progress


def spec_of(shared: SharedParams, make_env: MakeEnv) -> AgentSpec:
    """Returns the agent without its controller."""
    return AgentSpec(shared, make_env, Path("models") / shared.vision, MEMORY)


def drive(
    executor: Executor[RolloutWorker], tasks: Sequence[RolloutTask], title: str
) -> list[dict[str, Any]]:
    """Returns the numbers of the episodes of all tasks, in their order, a row each."""
    rows: list[dict[str, Any]] = []
    episodes = sum(len(task.vectors) * len(task.seeds) for task in tasks)
    with Progress(title, episodes, "episodes") as progress:
        for outcomes in executor.map(drive_task, tasks):
            rows += [outcome.row(len(rows) + i) for i, outcome in enumerate(outcomes)]
            progress.advance(len(outcomes))
    return rows
