"""What the parameters of a search come to: phases for the optimiser, tracks for its solutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from wm.control.training import directions
from wm.control.training.cma_es import Phase
from wm.control.training.fitness import ReturnFitness
from wm.control.training.settings import Search, SearchPhase
from wm.control.training.tracks import Drives, most_telling


def phases(search: Search, on_h: np.ndarray, fitness: ReturnFitness) -> list[Phase]:
    """Returns the phases of the search for the optimiser.

    `on_h`, bool (D,), says which of a controller's parameters are weights of h; `fitness` drives to
    find h's components.
    """

    def along(phase: SearchPhase) -> Callable[[np.ndarray], np.ndarray]:
        def components(mean: np.ndarray) -> np.ndarray:
            states = fitness.memory_states(mean, search.memory_tracks)
            return directions.principal(on_h, states, search.memory_components)

        if phase.weights == "components" and on_h.any():
            return components
        active = ~on_h if phase.weights == "z" else np.ones_like(on_h)
        return lambda mean: directions.coordinates(active)

    return [Phase(phase, along(phase)) for phase in search.phases.values()]


def drive(
    search: Search, fitness: ReturnFitness, vectors: np.ndarray, earlier: Sequence[Drives]
) -> Drives:
    """Returns what the controllers `vectors` (P, D) drive after the generations `earlier`: on new
    tracks, and on those of its phase that its parameters ask to repeat, once there are as many."""
    number, begun = len(earlier), 0
    for phase in search.phases.values():
        if number < begun + phase.generations:
            break
        begun += phase.generations
    repeated = most_telling(earlier[begun:], phase.repeated_tracks)
    return fitness.training(vectors, number, phase.episodes, repeated)
