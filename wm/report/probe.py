"""What a linear map reads out of latents: whether they hold what driving needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wm.core import episodes
from wm.core.car_racing import TELEMETRY, along_road

RIDGE = 1.0
"""Penalty on standardised inputs, for sums over samples: it fades as the data grow."""


def probe_latents(
    latents: dict[int, np.ndarray], telemetry: dict[int, np.ndarray]
) -> dict[str, float]:
    """Returns how much of each telemetry value a linear map reads out of held-out episodes' mean
    latents, fitted on the others: {"probe_r2_<name>": R2}.

    `latents`, float (T + 1, Z), and `telemetry`, float (T + 1, 6), are those of an episode by its
    id. Frames count where the car drives on the road and along it.
    """
    driving = {id_: along_road(values) for id_, values in telemetry.items()}
    (z_train, y_train), (z_test, y_test) = (
        [
            np.concatenate([source[id_][driving[id_]] for id_ in ids])
            for source in (latents, telemetry)
        ]
        for ids in episodes.split(list(latents))
    )
    return probe(z_train, y_train, z_test, y_test, TELEMETRY)


def probe(
    z_train: np.ndarray,
    y_train: np.ndarray,
    z_test: np.ndarray,
    y_test: np.ndarray,
    names: Sequence[str],
) -> dict[str, float]:
    """Returns how much of each value in y, (N, len(names)), a linear map reads out of z, (N, Z).

    Ridge regression in closed form on standardised z, fitted on train; R2 on test against the
    mean of test, so that 1 is perfect, 0 no better than a constant, and below 0 worse than one.
    A value that is constant on test has nothing to explain: 0. Returns {"probe_r2_<name>": R2}.
    """
    inputs, targets = np.asarray(z_train, np.float64), np.asarray(y_train, np.float64)
    mean, std = inputs.mean(0), inputs.std(0)
    std[np.ptp(inputs, axis=0) == 0] = 1  # a dimension that never moves has nothing to say
    inputs = (inputs - mean) / std
    gram = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ (targets - targets.mean(0)))  # (Z, len(names))

    actual = np.asarray(y_test, np.float64)
    predicted = (np.asarray(z_test, np.float64) - mean) / std @ weights + targets.mean(0)
    unexplained = np.square(actual - predicted).sum(0)
    total = np.square(actual - actual.mean(0)).sum(0)
    constant = np.ptp(actual, axis=0) == 0  # its total may be a rounding error instead of 0
    r2 = np.where(constant, 0.0, 1 - unexplained / np.where(constant, 1, total))
    return {f"probe_r2_{name}": float(value) for name, value in zip(names, r2, strict=True)}
