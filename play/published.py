"""Models that are in the repository: vision, memory and controller of one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from wm.control.policy import controller
from wm.control.policy.agent import Agent
from wm.control.policy.driving import AgentSpec
from wm.core.errors import UserError
from wm.core.params import SharedParams
from wm.env import official

HERE = Path(__file__).parent.parent / "published"
"""A folder for each run: `vision`, `memory`, `controller` and a README with its score."""


def names() -> list[str]:
    """Returns the runs that are published."""
    return sorted(folder.name for folder in HERE.iterdir() if folder.is_dir())


def agent(name: str) -> Agent:
    """Returns the agent of a published run, or of a folder like it, for one episode at a time.

    Raises UserError when a model is missing or damaged.
    """
    folder = HERE / name if name in names() else Path(name)
    if not folder.is_dir():
        raise UserError(f"--models {name}: no such run; there are {', '.join(names())}")
    shared = SharedParams(vision="vae", scale="laptop", seed=0, precision="fp32", threads=1)
    spec = AgentSpec(shared, official.make, folder / "vision", folder / "memory")
    config, vector = controller.load(folder / "controller", *spec.sizes())
    worker, noise = spec.create_worker(), torch.Generator().manual_seed(0)
    return Agent(worker.vision, worker.memory, config, vector[None], np.zeros(1, int), noise)
