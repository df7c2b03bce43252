"""The agent of a round, the pipeline's vision model with a memory that may be a round's, at the
wheel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wm.control.policy.driving import AgentSpec, RolloutTask, drive_task
from wm.core.params import SharedParams
from wm.drive.workers import MakeEnv
from wm.runtime.executor import create_executor
from wm.runtime.progress import Progress


def spec_of(shared: SharedParams, memory: Path, make_env: MakeEnv) -> AgentSpec:
    """Returns the agent that sees the state of a memory, through the pipeline's vision model."""
    return AgentSpec(shared, make_env, Path("models") / shared.vision, memory)


def drive(spec: AgentSpec, tasks: Sequence[RolloutTask], title: str) -> list[dict[str, Any]]:
    """Returns the numbers of the episodes of all tasks, in their order, a row each."""
    rows: list[dict[str, Any]] = []
    episodes = sum(len(task.vectors) * len(task.seeds) for task in tasks)
    with (
        Progress(title, episodes, "episodes") as progress,
        create_executor(spec.shared, spec.create_worker) as executor,
    ):
        for outcomes in executor.map(drive_task, tasks):
            rows += [outcome.row(len(rows) + i) for i, outcome in enumerate(outcomes)]
            progress.advance(len(outcomes))
    return rows
