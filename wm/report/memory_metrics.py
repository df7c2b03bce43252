"""How good a memory model is, in numbers that compare across latent spaces.

- A likelihood depends on the scale of its space. The latents are therefore standardised by
  training statistics, x = (z - mean) / std, and the density changes with them:
  log p(x) = log p(z) + sum(log std). Rescaling a latent space changes none of the numbers.
- Two baselines show what the numbers are worth: the marginal Gaussian knows no past, the
  last-value Gaussian knows one frame and no dynamics.
- What the model dreams is decoded and compared with what happened, beside a copy of the last
  frame that it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wm.core.frames import mse
from wm.core.shards import shards

HORIZONS = (1, 5, 15, 50)
"""Steps of open loop after which the error is reported."""
SMALLEST_STD = 1e-6
"""Standard deviation of a latent that never moves."""
BATCH = 256
"""Frames decoded at a time."""

Step = Callable[[np.ndarray, np.ndarray, Any], tuple[np.ndarray, Any]]
"""Takes z (B, Z), an action (B, 3) and a state (None at first); returns the next z (B, Z) and the
next state."""


@dataclass(frozen=True)
class Baselines:
    """Diagonal Gaussians of the next latent, fitted on training transitions; arrays (Z,)."""

    mean: np.ndarray
    """The means of the latents."""
    std: np.ndarray
    """The standard deviations of the latents."""
    step: np.ndarray
    """The standard deviations of z_{t+1} - z_t around 0."""

    @staticmethod
    def fit(current: np.ndarray, following: np.ndarray) -> Baselines:
        """Fits both Gaussians, by maximum likelihood, on transitions z_t -> z_{t+1}, (N, Z) each,
        N >= 1.

        A standard deviation is at least 1e-6.
        """
        current, following = np.asarray(current, np.float64), np.asarray(following, np.float64)
        step = np.sqrt(np.square(following - current).mean(0))
        std = np.maximum(following.std(0), SMALLEST_STD)
        return Baselines(following.mean(0), std, np.maximum(step, SMALLEST_STD))

    def likelihood(
        self, nll: np.ndarray, current: np.ndarray, following: np.ndarray
    ) -> dict[str, float]:
        """Returns negative log-likelihoods of held-out transitions, (N, Z) each, in nats per
        dimension.

        `nll` (N,) is the model's -log p(z_{t+1} | past), summed over dimensions, in the latent
        space as it is. All three results are densities of the standardised latents:

        nll              the model
        nll_marginal     N(mean, std^2)
        nll_last_value   N(z_t, step^2)

        Raises ValueError unless there is one nll for each transition.
        """
        if nll.shape != following.shape[:1] or current.shape != following.shape:
            raise ValueError(
                f"{nll.shape} nll for {current.shape} -> {following.shape} transitions"
            )
        following = np.asarray(following, np.float64)
        change = float(np.log(self.std).mean())  # per dimension
        return {
            "nll": float(np.asarray(nll, np.float64).mean()) / following.shape[1] - change,
            "nll_marginal": _gaussian_nll(following, self.mean, self.std) - change,
            "nll_last_value": _gaussian_nll(following, current, self.step) - change,
        }


def dream(step: Step, latents: np.ndarray, actions: np.ndarray, context: int) -> np.ndarray:
    """Lets a model see `context` real steps and then feeds it its own predictions.

    latents (B, T+1, Z) and actions (B, T, 3) of real episodes. The model takes in z_0 .. z_context
    (z_context is the last real frame; context >= 0) and predicts the rest under the real actions.
    Returns the dreamed z_{context+1} .. z_T, (B, T - context, Z).
    Raises ValueError if nothing is left to dream of.
    """
    horizon = actions.shape[1] - context
    if horizon < 1 or context < 0 or latents.shape[1] != actions.shape[1] + 1:
        raise ValueError(f"context {context}, {latents.shape} latents, {actions.shape} actions")
    state: Any = None
    dreamed: list[np.ndarray] = []
    for t in range(actions.shape[1]):
        z = latents[:, t] if t <= context else dreamed[-1]
        following, state = step(z, actions[:, t], state)
        if t >= context:
            dreamed.append(following)
    return np.stack(dreamed, axis=1)


def open_loop(
    decode: Callable[[np.ndarray], np.ndarray],
    dreamed: np.ndarray,
    frames: np.ndarray,
    horizons: Sequence[int] = HORIZONS,
) -> dict[str, float]:
    """Measures the pixel error of dreams against what happened, and of copying the last frame.

    decode   z (N, Z) -> frames uint8 (N, 64, 64, 3)
    dreamed  (B, H, Z), from `dream`
    frames   uint8 (B, H + 1, 64, 64, 3): the last frame that the model saw and the H that followed

    Returns the mean squared errors of values in [0, 1] "open_loop_mse_<h>" and "copy_last_mse_<h>"
    for each horizon h <= H. Horizons beyond the data have no key: an error at another horizon
    under their name would be false.
    """
    if len(frames) != len(dreamed) or frames.shape[1] != dreamed.shape[1] + 1:
        raise ValueError(f"{dreamed.shape} latents need H + 1 frames, not {frames.shape}")
    errors = {}
    for h in (h for h in horizons if h <= dreamed.shape[1]):
        decoded = [decode(part) for part in shards(dreamed[:, h - 1], BATCH)]
        errors[f"open_loop_mse_{h}"] = mse(np.concatenate(decoded), frames[:, h])
        errors[f"copy_last_mse_{h}"] = mse(frames[:, 0], frames[:, h])
    return errors


def reward_correlation(predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """Returns Pearson's correlation of predicted and actual rewards, (N,) each; 0 if either is
    constant."""
    x, y = np.asarray(predicted, np.float64), np.asarray(actual, np.float64)
    constant = np.ptp(x) == 0 or np.ptp(y) == 0
    return {"reward_correlation": 0.0 if constant else float(np.corrcoef(x, y)[0, 1])}


def _gaussian_nll(values: np.ndarray, mean: np.ndarray, std: np.ndarray) -> float:
    """Returns the nats per value of a diagonal Gaussian."""
    squares = np.square((values - mean) / std) / 2
    return float((squares + np.log(std) + np.log(2 * np.pi) / 2).mean())
