"""A search for controllers as its parameters describe it, in either world: phases for the
optimiser, tracks for its solutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from wm.control.training import directions, evolution
from wm.control.training.cma_es import Phase, PhasedCmaEs
from wm.control.training.evolution import Row, Validated
from wm.control.training.fitness import ReturnFitness, World
from wm.control.training.settings import Search, SearchPhase
from wm.control.training.tracks import Drives, most_telling
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
    title: str,
) -> tuple[list[Validated], list[Row]]:
    """Searches from the controller `start`, float64 (D,), in a world whose workers `executor` has.

    `on_h`, bool (D,), says which parameters are weights of h; what is drawn follows from `seed`.
    `title` is that of its progress and of its errors. Returns what `evolution.evolve` does.
    """
    fitness = ReturnFitness(executor, world, seed, settings.shard_episodes)
    return evolution.evolve(
        PhasedCmaEs(start, phases(settings, on_h, fitness), seed),
        partial(drive, settings, fitness),
        lambda vector: fitness.validation(vector, settings.validation_episodes),
        generations=settings.generations,
        validate_every=settings.validate_every,
        weight_decay=settings.weight_decay,
        checkpoint=checkpoint,
        title=title,
    )


def phases(settings: Search, on_h: np.ndarray, fitness: ReturnFitness) -> list[Phase]:
    """Returns the phases of a search for the optimiser.

    `on_h`, bool (D,), says which of a controller's parameters are weights of h; `fitness` drives to
    find h's components.
    """

    def along(phase: SearchPhase) -> Callable[[np.ndarray], np.ndarray]:
        def components(mean: np.ndarray) -> np.ndarray:
            states = fitness.memory_states(mean, settings.memory_tracks)
            return directions.principal(on_h, states, settings.memory_components)

        if phase.weights == "components" and on_h.any():
            return components
        active = ~on_h if phase.weights == "z" else np.ones_like(on_h)
        return lambda mean: directions.coordinates(active)

    return [Phase(phase, along(phase)) for phase in settings.phases.values()]


def drive(
    settings: Search, fitness: ReturnFitness, vectors: np.ndarray, earlier: Sequence[Drives]
) -> Drives:
    """Returns what the controllers `vectors` (P, D) drive after the generations `earlier`: on new
    tracks, and on those of its phase that its parameters ask to repeat, once there are as many."""
    number, begun = len(earlier), 0
    for phase in settings.phases.values():
        if number < begun + phase.generations:
            break
        begun += phase.generations
    repeated = most_telling(earlier[begun:], phase.repeated_tracks)
    return fitness.training(vectors, number, phase.episodes, repeated)
