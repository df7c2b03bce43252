"""How good a memory model is, in numbers that compare across latent spaces.

- A likelihood depends on the scale of its space. The latents are therefore standardised by
  training statistics, x = (z - mean) / std, and the density changes with them:
  log p(x) = log p(z) + sum(log std). Rescaling a latent space changes none of the numbers.
- Three baselines show what the numbers are worth: the marginal Gaussian knows no past, the last
  mean knows one frame and no dynamics, the linear filter knows two frames, the action and linear
  dynamics. Like the model, they are given the means of the latents, which hold no noise: a
  baseline that is given samples is beaten by whoever averages their noise away, even where nothing
  moves. The baselines are fitted on means, while the MDN-RNN was trained on samples: the comparison
  is strict with it.
- What the model dreams is decoded and compared with what happened, beside a copy of the last
  frame that it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
class Transitions:
    """What is known of an episode of T steps, and what is to be predicted."""

    mu: np.ndarray
    """The means of the latents of every frame, (T + 1, Z)."""
    actions: np.ndarray
    """The actions, (T, 3)."""
    z: np.ndarray
    """A sample of the latents of every frame, (T + 1, Z)."""

    @property
    def following(self) -> np.ndarray:
        """The samples z_1 .. z_T, float64 (T, Z), which are to be predicted."""
        return self.z[1:].astype(np.float64)

    def inputs(self) -> np.ndarray:
        """Returns what the linear filter sees: mu_t, mu_{t-1} (at first mu_0 again), a_t and 1,
        float64 (T, 2 Z + 3 + 1)."""
        current = self.mu[:-1]
        before = np.concatenate([current[:1], current[:-1]])
        ones = np.ones((len(current), 1))
        return np.hstack([current, before, self.actions, ones]).astype(np.float64)


@dataclass(frozen=True)
class Baselines:
    """Diagonal Gaussians of the next latent, fitted on training episodes."""

    mean: np.ndarray
    """The means of the latents, (Z,)."""
    std: np.ndarray
    """The standard deviations of the latents, (Z,)."""
    step: np.ndarray
    """The standard deviations of z_{t+1} - mu_t around 0, (Z,)."""
    weights: np.ndarray
    """The linear filter's, (2 Z + 3 + 1, Z)."""
    residual: np.ndarray
    """The standard deviations of what the linear filter leaves, (Z,)."""

    @staticmethod
    def fit(episodes: Iterable[Transitions]) -> Baselines:
        """Fits all three by maximum likelihood, the linear filter by least squares, of least norm
        where several are as good; at least one transition. A standard deviation is at least 1e-6.

        Episodes are taken in one by one. What is kept of them is the triangle R of the QR
        decomposition of all transitions, a row each: as R'R = A'A, sums of squares of linear
        combinations of R's columns are those of A's.
        """
        triangle: np.ndarray | None = None
        count = size = 0
        for episode in episodes:
            rows = np.hstack([episode.inputs(), episode.following])
            count, size = count + len(rows), episode.z.shape[1]
            known = rows if triangle is None else np.vstack([triangle, rows])
            triangle = np.asarray(np.linalg.qr(known, mode="r"))
        assert triangle is not None, "no episode"
        inputs, following = triangle[:, :-size], triangle[:, -size:]
        current, ones = inputs[:, :size], inputs[:, -1:]
        # as if of all transitions: below this a singular value is rounding
        smallest = np.finfo(np.float64).eps * max(count, inputs.shape[1])
        weights = np.linalg.lstsq(inputs, following, rcond=smallest)[0]
        mean = (ones.T @ following)[0] / count
        std, step, residual = (
            np.maximum(np.sqrt(np.square(following - guess).sum(0) / count), SMALLEST_STD)
            for guess in (ones * mean, current, inputs @ weights)
        )
        return Baselines(mean, std, step, weights, residual)

    def likelihood(
        self, nll: Sequence[np.ndarray], episodes: Sequence[Transitions]
    ) -> dict[str, float]:
        """Returns negative log-likelihoods of held-out episodes, in nats per dimension.

        `nll` holds for each episode the model's -log p(z_{t+1} | past), (T,), summed over
        dimensions, in the latent space as it is. All results are densities of the standardised
        latents:

        nll            the model
        nll_marginal   N(mean, std^2)
        nll_last_mean  N(mu_t, step^2)
        nll_linear     N(weights of mu_t, mu_{t-1}, a_t and 1, residual^2)

        Raises ValueError unless there is one nll for each transition.
        """
        found = np.concatenate(nll)
        following = np.concatenate([episode.following for episode in episodes])
        if found.shape != following.shape[:1]:
            raise ValueError(f"{found.shape} nll for {following.shape} transitions")
        inputs = np.concatenate([episode.inputs() for episode in episodes])
        size = following.shape[1]
        change = float(np.log(self.std).mean())  # per dimension
        guesses = {
            "nll_marginal": (self.mean, self.std),
            "nll_last_mean": (inputs[:, :size], self.step),
            "nll_linear": (inputs @ self.weights, self.residual),
        }
        return {"nll": float(found.astype(np.float64).mean()) / size - change} | {
            name: _gaussian_nll(following, mean, std) - change
            for name, (mean, std) in guesses.items()
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


def open_loop_errors(
    decode: Callable[[np.ndarray], np.ndarray], dreamed: np.ndarray, frames: np.ndarray
) -> dict[str, float]:
    """Measures the pixel error of dreams against what happened, and of copying the last frame.

    decode   z (N, Z) -> frames uint8 (N, 64, 64, 3)
    dreamed  (B, H, Z), from `dream`
    frames   uint8 (B, 1 + M, 64, 64, 3): the last frame that the model saw, and those that followed
             it by the M of HORIZONS that are at most H

    Returns the mean squared errors of values in [0, 1] "open_loop_mse_<h>" and "copy_last_mse_<h>"
    for each of HORIZONS h <= H. Horizons beyond the data have no key: an error at another horizon
    under their name would be false.
    """
    within = [h for h in HORIZONS if h <= dreamed.shape[1]]
    if len(frames) != len(dreamed) or frames.shape[1] != 1 + len(within):
        raise ValueError(f"{dreamed.shape} latents need the frames of {within}: {frames.shape}")
    errors = {}
    for place, h in enumerate(within, start=1):
        decoded = [decode(part) for part in shards(dreamed[:, h - 1], BATCH)]
        errors[f"open_loop_mse_{h}"] = mse(np.concatenate(decoded), frames[:, place])
        errors[f"copy_last_mse_{h}"] = mse(frames[:, 0], frames[:, place])
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
