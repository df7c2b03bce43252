"""The fitness of controllers: their mean return on the fast renderer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import RolloutTask, RolloutWorker, drive_task, states_task
from wm.control.training.tracks import Drives
from wm.core import seeding
from wm.core.shards import shards
from wm.runtime.executor import Executor


@dataclass(frozen=True)
class ReturnFitness:
    """Mean returns of controllers that the executor's workers drive."""

    executor: Executor[RolloutWorker]
    """The executor whose workers drive."""
    config: ControllerConfig
    """What the controllers see."""
    seed: int
    """The training seed, which decides tracks and the noise of sampled latents."""
    shard_episodes: int
    """Episodes of a task; a controller's are never apart in `training`."""
    max_steps: int
    """The number of steps after which an episode is truncated."""
    patience: int | None
    """Steps without a new tile that end an episode; None: none do."""

    def training(
        self, vectors: np.ndarray, number: int, episodes: int, repeated: Sequence[int] = ()
    ) -> Drives:
        """Returns what the controllers `vectors` (P, D) drive as generation `number`.

        They share `episodes` tracks: those with the seeds `repeated`, and new ones.
        """
        fresh = range(episodes - len(repeated))
        seeds = [self._draw("track", number, i) for i in fresh] + list(repeated)
        parts = shards(vectors, max(1, self.shard_episodes // episodes))
        returns = self._returns([(part, seeds) for part in parts], self._draw("noise", number))
        return Drives(seeds, returns.reshape(len(vectors), episodes).tolist())

    def validation(self, vector: np.ndarray, tracks: int) -> float:
        """Returns the mean return of `vector` (D,) on `tracks` tracks, always the same."""
        seeds = [self._draw("validation track", i) for i in range(tracks)]
        parts = shards(seeds, self.shard_episodes)
        noise_seed = self._draw("validation noise")
        return float(self._returns([(vector[None], part) for part in parts], noise_seed).mean())

    def memory_states(self, vector: np.ndarray, tracks: int) -> np.ndarray:
        """Returns the memory's states while `vector` (D,) drives on `tracks` tracks, always the
        same: float32 (N, H)."""
        seeds = [self._draw("states track", i) for i in range(tracks)]
        parts = [(vector[None], part) for part in shards(seeds, self.shard_episodes)]
        noise_seed = self._draw("states noise")
        return np.concatenate(list(self.executor.map(states_task, self._tasks(parts, noise_seed))))

    def _draw(self, purpose: str, *index: int) -> int:
        return seeding.integer(self.seed, "train_controller", purpose, *index)

    def _returns(self, parts: list[tuple[np.ndarray, list[int]]], noise_seed: int) -> np.ndarray:
        shards_ = self.executor.map(drive_task, self._tasks(parts, noise_seed))
        return np.array([outcome.return_ for outcomes in shards_ for outcome in outcomes])

    def _tasks(
        self, parts: list[tuple[np.ndarray, list[int]]], noise_seed: int
    ) -> list[RolloutTask]:
        return [
            RolloutTask(self.config, vectors, seeds, noise_seed + i, self.max_steps, self.patience)
            for i, (vectors, seeds) in enumerate(parts)
        ]
