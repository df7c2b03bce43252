"""The fitness of controllers: their mean return in a world, the simulator or a dream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wm.control.training.tracks import Drives
from wm.core import seeding
from wm.core.shards import shards
from wm.runtime.executor import Executor

_Part = tuple[np.ndarray, list[int]]


class World(Protocol):
    """Where controllers are tried. What `seeds` name is a world's own: its tracks, or its dreams.

    `returns` and `states` run in a worker, whose context the world creates.
    """

    @property
    def inputs(self) -> list[Path]:
        """The folders that returns depend on."""

    def create_worker(self) -> Any:
        """Returns a worker's context; an executor calls it once in each worker."""

    def for_validation(self) -> World:
        """Returns the world in which no wheel off the road costs anything."""

    def task(self, vectors: np.ndarray, seeds: list[int], noise_seed: int) -> Any:
        """Returns the task to try every one of `vectors` (C, P) on each of `seeds`; `noise_seed` is
        of what the seeds do not decide."""

    @staticmethod
    def returns(worker: Any, task: Any) -> list[float]:
        """Returns the C x len(seeds) returns, those of a controller together."""

    @staticmethod
    def states(worker: Any, task: Any) -> np.ndarray:
        """Returns the memory's states, as the controllers saw them: float32 (N, H)."""


@dataclass(frozen=True)
class ReturnFitness:
    """Mean returns of controllers that the executor's workers try."""

    executor: Executor[Any]
    """The executor whose workers try them."""
    world: World
    """Where they are tried."""
    seed: int
    """The training seed, which decides tracks and noise."""
    shard_episodes: int
    """Episodes of a task; a controller's are never apart in `training`."""

    def training(
        self, vectors: np.ndarray, number: int, episodes: int, repeated: Sequence[int] = ()
    ) -> Drives:
        """Returns what the controllers `vectors` (P, D) drive as generation `number`.

        They share `episodes` tracks: those with the seeds `repeated`, and new ones.
        """
        fresh = range(episodes - len(repeated))
        seeds = [self._draw("track", number, i) for i in fresh] + list(repeated)
        groups = shards(vectors, max(1, self.shard_episodes // episodes))
        parts = [(group, seeds) for group in groups]
        returns = self._returns(self.world, parts, self._draw("noise", number))
        return Drives(seeds, returns.reshape(len(vectors), episodes).tolist())

    def validation(self, vector: np.ndarray, tracks: int) -> float:
        """Returns the mean return of `vector` (D,) on `tracks` tracks, always the same."""
        seeds = [self._draw("validation track", i) for i in range(tracks)]
        parts = [(vector[None], part) for part in shards(seeds, self.shard_episodes)]
        world, noise_seed = self.world.for_validation(), self._draw("validation noise")
        return float(self._returns(world, parts, noise_seed).mean())

    def memory_states(self, vector: np.ndarray, tracks: int) -> np.ndarray:
        """Returns the memory's states while `vector` (D,) drives on `tracks` tracks, always the
        same: float32 (N, H)."""
        seeds = [self._draw("states track", i) for i in range(tracks)]
        parts = [(vector[None], part) for part in shards(seeds, self.shard_episodes)]
        tasks = _tasks(self.world, parts, self._draw("states noise"))
        return np.concatenate(list(self.executor.map(self.world.states, tasks)))

    def _draw(self, purpose: str, *index: int) -> int:
        return seeding.integer(self.seed, "train_controller", purpose, *index)

    def _returns(self, world: World, parts: list[_Part], noise_seed: int) -> np.ndarray:
        tasks = _tasks(world, parts, noise_seed)
        return np.concatenate(list(self.executor.map(world.returns, tasks)))


def _tasks(world: World, parts: list[_Part], noise_seed: int) -> list[Any]:
    return [world.task(vectors, seeds, noise_seed + i) for i, (vectors, seeds) in enumerate(parts)]
