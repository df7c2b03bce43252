"""The simulator as the world that controllers are tried in: the fast renderer, on new tracks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import (
    AgentSpec,
    RolloutTask,
    RolloutWorker,
    drive_task,
    states_task,
)


@dataclass(frozen=True)
class Simulator:
    """Episodes of the environment; implements wm.control.training.fitness.World."""

    spec: AgentSpec
    """The environment and the networks of an agent."""
    config: ControllerConfig
    """What the controllers see."""
    max_steps: int
    """The number of steps after which an episode is truncated."""
    patience: int | None
    """Steps without a new tile that end an episode; None: none do."""
    off_road_cost: float
    """What a step in training costs for each of the four wheels off the road."""

    @property
    def inputs(self) -> list[Path]:
        """The folders that returns depend on."""
        return self.spec.directories

    def create_worker(self) -> RolloutWorker:
        """Returns a worker's environments and networks."""
        return self.spec.create_worker()

    def for_validation(self) -> Simulator:
        """Returns the simulator in which no wheel off the road costs anything."""
        return replace(self, off_road_cost=0.0)

    def task(self, vectors: np.ndarray, seeds: list[int], noise_seed: int) -> RolloutTask:
        """Returns the task to drive every one of `vectors` (C, P) on the tracks `seeds`."""
        return RolloutTask(
            self.config,
            vectors,
            seeds,
            noise_seed,
            self.max_steps,
            patience=self.patience,
            off_road_cost=self.off_road_cost,
        )

    @staticmethod
    def returns(worker: RolloutWorker, task: RolloutTask) -> list[float]:
        """Returns the returns of the C x len(seeds) episodes, those of a controller together."""
        return [outcome.return_ for outcome in drive_task(worker, task)]

    @staticmethod
    def states(worker: RolloutWorker, task: RolloutTask) -> np.ndarray:
        """Returns the memory's states in the task's episodes, float32 (N, H)."""
        return states_task(worker, task)
