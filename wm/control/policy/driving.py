"""What workers do that drive with models: roll controllers out in lockstep.

A task is a small picklable description; the environments and the networks stay in the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from wm.control.policy.agent import Agent
from wm.control.policy.allocation import keep_freed_memory
from wm.control.policy.controller import ControllerConfig
from wm.core import seeding
from wm.core.params import SharedParams
from wm.core.shards import shards
from wm.drive.rollout import Outcome, rollout
from wm.drive.telemetry import telemetry
from wm.drive.workers import MakeEnv, WorkerEnvs, save_recordings
from wm.memory.networks import trained as memory
from wm.memory.networks.mdnrnn import MDNRNN
from wm.nn.compute import prepare
from wm.vision.networks import trained as vision


@dataclass(frozen=True)
class AgentSpec:
    """A description of an agent, from which a worker builds its environments and networks."""

    shared: SharedParams
    """The shared parameters: device and precision."""
    make_env: MakeEnv
    """Makes an environment."""
    vision: Path
    """The folder of the vision model."""
    memory: Path | None
    """The folder of the memory; None where no controller looks at h."""

    @property
    def directories(self) -> list[Path]:
        """The folders that results depend on."""
        return [self.vision] if self.memory is None else [self.vision, self.memory]

    def sizes(self) -> tuple[int, int]:
        """Returns (latent size Z, hidden size H), read from the models' configs; H is 0 without a
        memory. Raises UserError when a config is missing or damaged."""
        latent_size = vision.read_config(self.vision).latent_size
        if self.memory is None:
            return latent_size, 0
        return latent_size, memory.read_config(self.memory, latent_size).hidden_size

    def create_worker(self) -> RolloutWorker:
        """Returns a worker's context; an executor calls it once in each worker."""
        return RolloutWorker(self)


class RolloutWorker:
    """A worker's environments and networks, on one thread."""

    def __init__(self, spec: AgentSpec) -> None:
        keep_freed_memory()
        compute = prepare(spec.shared, threads=1)
        self.envs = WorkerEnvs(spec.make_env)
        self.vision = vision.load(spec.vision, compute)
        self.memory: MDNRNN | None = None
        if spec.memory is not None:
            self.memory = memory.load(spec.memory, self.vision.latent_size, compute.device)


@dataclass(frozen=True)
class RolloutTask:
    """Every controller on every track, in one lockstep."""

    config: ControllerConfig
    """What the controllers see."""
    vectors: np.ndarray
    """The controllers, float (C, P)."""
    seeds: list[int]
    """The seeds of the tracks."""
    noise_seed: int
    """The seed of the latents' noise where controllers act on samples."""
    max_steps: int
    """The number of steps after which an episode is truncated."""
    patience: int | None = None
    """Steps without a new tile that end an episode; None: none do."""
    off_road_cost: float = 0.0
    """What a step costs for each wheel off the road."""
    record_to: Path | None = None
    """A folder for the recordings, named from `first_id` on; None records nothing."""
    first_id: int = 0
    """The id of the first recording."""


def drive_task(worker: RolloutWorker, task: RolloutTask) -> list[Outcome]:
    """Returns the outcomes of the C x len(seeds) episodes, those of a controller together."""
    outcomes = _drive(worker, task)
    if task.record_to is None:
        return outcomes
    ids = range(task.first_id, task.first_id + len(outcomes))
    save_recordings(task.record_to, ids, outcomes)
    return [replace(outcome, episode=None) for outcome in outcomes]


def evaluation_tasks(
    config: ControllerConfig,
    vector: np.ndarray,
    tracks: list[int],
    seed: int,
    *,
    max_steps: int,
    shard_episodes: int,
    record_to: Path | None = None,
) -> list[RolloutTask]:
    """Returns the tasks to drive one controller, float (P,), once on each of `tracks`,
    `shard_episodes` in a lockstep; `seed` is the training seed, and of the latents' noise.
    `record_to`: as in RolloutTask; a recording's id is its track's place."""
    return [
        RolloutTask(
            config,
            vector[None],
            shard,
            seeding.integer(seed, "evaluate", "noise", number),
            max_steps,
            record_to=record_to,
            first_id=number * shard_episodes,
        )
        for number, shard in enumerate(shards(tracks, shard_episodes))
    ]


def _drive(
    worker: RolloutWorker,
    task: RolloutTask,
    watch: Callable[[torch.Tensor], None] | None = None,
) -> list[Outcome]:
    candidates = np.repeat(np.arange(len(task.vectors)), len(task.seeds))
    agent = Agent(
        worker.vision,
        worker.memory,
        task.config,
        task.vectors,
        candidates,
        torch.Generator().manual_seed(task.noise_seed),
        watch,
    )
    return rollout(
        worker.envs.first(len(candidates)),
        task.seeds * len(task.vectors),
        agent,
        max_steps=task.max_steps,
        patience=task.patience,
        off_road_cost=task.off_road_cost,
        telemetry=telemetry if task.record_to else None,
    )


def states_task(worker: RolloutWorker, task: RolloutTask) -> np.ndarray:
    """Returns the memory's state at every step of the task's episodes, float32 (N, H), in the order
    in which they were driven."""
    states: list[torch.Tensor] = []
    _drive(worker, task, states.append)
    return torch.cat(states).cpu().numpy()


def agent_spec(shared: SharedParams, config: ControllerConfig, make_env: MakeEnv) -> AgentSpec:
    """Returns the pipeline's own models: the vision model that `shared` names, and the memory if
    the controller looks at h."""
    memory_folder = Path("models/rnn") if config.sees_memory else None
    return AgentSpec(shared, make_env, Path("models") / shared.vision, memory_folder)
