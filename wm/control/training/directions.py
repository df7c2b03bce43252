"""The directions in which controllers evolve: all weights, those of z, or principal ones of h.

The memory's state h has 256 numbers, most of which move together. In its 768 weights CMA-ES drifts
for hundreds of generations; in those of a few components that hold most of h's variance it searches
at once. What is found is a controller like any other, linear in [z, h].
"""

from __future__ import annotations

import numpy as np

TINY = 1e-9
"""The least variance of a component, as a share of the greatest."""


def coordinates(active: np.ndarray) -> np.ndarray:
    """Returns the directions of the coordinates `active`, bool (D,): float64 (D, K)."""
    chosen = np.flatnonzero(active)
    directions = np.zeros((len(active), len(chosen)))
    directions[chosen, np.arange(len(chosen))] = 1.0
    return directions


def principal(reads_memory: np.ndarray, states: np.ndarray, count: int) -> np.ndarray:
    """Returns directions, float64 (P, K): the weights of the first `count` principal components of
    h, and every other parameter by itself.

    `reads_memory`, bool (P,), says which of a controller's parameters are weights of h, which must
    be the last of its features; `states`, float32 (N, H), are h as they were while one drove. A
    component is centred and of unit variance, so that one step size suits all: a step along its
    weight moves the bias, too.
    """
    size = states.shape[1]
    wide = states.astype(np.float64)
    centre = wide.mean(axis=0)
    variances, vectors = np.linalg.eigh((wide - centre).T @ (wide - centre) / len(wide))
    variances = np.maximum(variances, variances[-1] * TINY or 1.0)  # 0 where nothing moves
    components = (vectors / np.sqrt(variances))[:, ::-1][:, :count]  # the greatest first
    weights = np.flatnonzero(reads_memory).reshape(-1, size)  # (rows, H): those of a unit or action
    bias = weights[-1, -1] + 1  # a layer's biases follow its weights
    of_components = np.zeros((len(reads_memory), len(weights), components.shape[1]))
    for row, places in enumerate(weights):
        of_components[places, row] = components
        of_components[bias + row, row] = -centre @ components
    return np.concatenate(
        [coordinates(~reads_memory), of_components.reshape(len(reads_memory), -1)], axis=1
    )
