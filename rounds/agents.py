"""The agent of a round: the pipeline's vision model, and a memory that may be a round's."""

from __future__ import annotations

from pathlib import Path

from wm.control.policy.driving import AgentSpec
from wm.core.params import SharedParams
from wm.drive.workers import MakeEnv


def agent_spec(shared: SharedParams, memory: Path, make_env: MakeEnv) -> AgentSpec:
    """Returns the agent that sees the state of a memory, through the pipeline's vision model."""
    return AgentSpec(shared, make_env, Path("models") / shared.vision, memory)
