"""A search for controllers as its parameters describe it, in either world."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from wm.control.training import evolution, plan
from wm.control.training.cma_es import PhasedCmaEs
from wm.control.training.evolution import Row, Validated
from wm.control.training.fitness import ReturnFitness, World
from wm.control.training.settings import Search
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.executor import Executor


def search(
    settings: Search,
    world: World,
    executor: Executor[Any],
    start: np.ndarray,
    on_h: np.ndarray,
    seed: int,
    checkpoint: Checkpoint,
) -> tuple[list[Validated], list[Row]]:
    """Searches from the controller `start`, float64 (D,), in a world whose workers `executor` has.

    `on_h`, bool (D,), says which parameters are weights of h; what is drawn follows from `seed`.
    Returns what `evolution.evolve` does.
    """
    fitness = ReturnFitness(executor, world, seed, settings.shard_episodes)
    return evolution.evolve(
        PhasedCmaEs(start, plan.phases(settings, on_h, fitness), seed),
        partial(plan.drive, settings, fitness),
        lambda vector: fitness.validation(vector, settings.validation_episodes),
        generations=settings.generations,
        validate_every=settings.validate_every,
        weight_decay=settings.weight_decay,
        checkpoint=checkpoint,
        title="train_controller",
    )
