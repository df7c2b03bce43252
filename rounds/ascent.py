"""The search along the gradient of dreams.

A dream is differentiable: its rewards, and what its last state is worth, follow from the
controller's parameters through the memory (as in Dreamer, Hafner et al. 2020, arXiv:1912.01603).
Where a candidate's dreams tell evolution one number, they tell the gradient one for each parameter.

What it promises holds near the controllers whose drives the dreams begin in. Further along the
promise may still rise while the real return falls (EXPERIMENTS.md): so the points of the way are
returned, and real drives choose among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits

from wm.control.training import directions
from wm.control.training.dream import DreamTask, DreamWorld
from wm.core import seeding
from wm.core.errors import UserError
from wm.core.params import Params
from wm.core.shards import shards
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.executor import Executor
from wm.runtime.progress import Progress

TINY = 1e-12
"""The least length of a direction."""


class AscentSettings(Params):
    """How a controller climbs."""

    steps: int = Field(ge=1)
    """Steps along the gradient."""
    length: float = Field(gt=0)
    """The length of each, whatever the gradient's: in the weights of z, the biases and the weights
    of h's components."""
    momentum: float = Field(ge=0, lt=1)
    """The share of the direction before in the next one; the rest is the gradient's."""
    dreams: int = Field(ge=1)
    """Dreams of a step, none of them dreamed before."""
    lost_share: float = Field(ge=0, le=1)
    """The share of dreams that begin where a car is about to be lost."""
    components: int = Field(ge=1)
    """Principal components of h that have a weight each."""
    component_dreams: int = Field(ge=1)
    """Dreams in which they are found."""
    shard_dreams: int = Field(ge=1)
    """Dreams of a worker's task; part of the result's last bits."""
    candidate_every: int = Field(ge=1)
    """Steps between the points that are candidates; the last one is one, too."""


# sums' last bits depend on the number of threads
@threadpool_limits.wrap(limits=1)
def ascend(
    settings: AscentSettings,
    world: DreamWorld,
    executor: Executor[Any],
    start: np.ndarray,
    on_h: np.ndarray,
    seed: int,
    checkpoint: Checkpoint,
) -> tuple[list[np.ndarray], list[float]]:
    """Climbs from the controller `start`, float64 (P,), in a dream whose workers `executor` has.

    `on_h`, bool (P,), says which parameters are weights of h; what is drawn follows from `seed`.
    Returns the candidates, float64 (P,) each, in the order of the way, and for each step the mean
    return of its dreams, before it is taken. Raises UserError when a return or a gradient
    is not finite.

    What is saved is the gradient of every step: the same way along them leads to the same state.
    """
    dreams = _Dreams(settings, world, executor, seed)
    saved = checkpoint.load() or {"slopes": []}
    slopes: list[tuple[float, list[float]]] = [tuple(slope) for slope in saved["slopes"]]
    along = dreams.directions(start, on_h)
    moved, direction = np.zeros(along.shape[1]), np.zeros(along.shape[1])
    candidates, dreamed = list[np.ndarray](), list[float]()
    with Progress("train_controller", settings.steps, "steps", done=len(slopes)) as progress:
        for step in range(settings.steps):
            if fresh := step == len(slopes):
                slopes.append(dreams.slope(start + along @ moved, step))
                checkpoint.save({"slopes": slopes})
            return_, gradient = slopes[step]
            uphill = along.T @ np.array(gradient)
            share = settings.momentum if step else 0.0
            direction = share * direction + (1 - share) * uphill
            moved = moved + settings.length * direction / max(np.linalg.norm(direction), TINY)
            dreamed.append(return_)
            if (step + 1) % settings.candidate_every == 0 or step + 1 == settings.steps:
                candidates.append(start + along @ moved)
            if fresh:
                progress.advance(1, dreamed=return_)
    return candidates, dreamed


@dataclass(frozen=True)
class _Dreams:
    """The dreams of a climb, which the executor's workers dream."""

    settings: AscentSettings
    world: DreamWorld
    executor: Executor[Any]
    seed: int

    def directions(self, start: np.ndarray, on_h: np.ndarray) -> np.ndarray:
        """Returns what a controller climbs along, float64 (P, K)."""
        if not on_h.any():
            return directions.coordinates(~on_h)
        tasks = self._tasks(start, "states", self.settings.component_dreams)
        states = np.concatenate(list(self.executor.map(self.world.states, tasks)))
        return directions.principal(on_h, states, self.settings.components)

    def slope(self, vector: np.ndarray, step: int) -> tuple[float, list[float]]:
        """Returns the mean return of a step's dreams and its gradient, (P,)."""
        count = self.settings.dreams
        tasks = self._tasks(vector, f"dream {step}", count)
        sums, gradients = zip(*self.executor.map(self.world.slope, tasks), strict=True)
        return_, gradient = float(np.sum(sums)) / count, np.sum(gradients, axis=0) / count
        if not np.isfinite([return_, *gradient]).all():
            raise UserError(
                f"train_controller: the gradient of step {step + 1} is not finite; the memory or "
                "the drives are damaged"
            )
        return return_, gradient.tolist()

    def _tasks(self, vector: np.ndarray, purpose: str, count: int) -> list[DreamTask]:
        seeds = [seeding.integer(self.seed, "train_controller", purpose, i) for i in range(count)]
        return [DreamTask(vector[None], part) for part in shards(seeds, self.settings.shard_dreams)]
