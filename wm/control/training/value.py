"""What a state is worth: the discounted rewards that real episodes earned after one like it.

A ridge regression on what a controller sees. On held-out episodes a network of two hidden layers
explained no more of the returns' variance (EXPERIMENTS.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from wm.core.car_racing import LAP_REWARD, REWARD_FLOOR, STEP_REWARD
from wm.core.errors import UserError
from wm.memory.latents import LatentEpisode
from wm.memory.networks.mdnrnn import MDNRNN

RIDGE = 0.01
"""The penalty on a weight, where features have unit variance; the squared error is a mean."""
STANDSTILL = 50
"""Steps without a tile at an episode's end after which it is taken to go on so."""
TAIL = 0.1
"""Share of a state's value that may come from after the episode's end: later states are left out,
as nobody knows what they would have earned."""
NEARLY = 0.95
"""Share of a lap after which a car is not lost: it may have left out tiles and find none ahead."""
TINY = 1e-6
"""The least standard deviation of a feature."""


@dataclass(frozen=True)
class Value:
    """The expected discounted reward from a state on, linear in [z, h]."""

    weights: np.ndarray
    """float32 (Z + H,)."""
    bias: float
    """The value where all features are 0."""

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Returns the value of states, [z, h] float32 (N, Z + H): float32 (N,)."""
        weights = torch.from_numpy(self.weights).to(features.device)
        return (features * weights).sum(1) + self.bias


# the last bits depend on the number of threads
@threadpool_limits.wrap(limits=1)
def fit(episodes: Iterable[LatentEpisode], memory: MDNRNN, discount: float) -> Value:
    """Returns the value of the states of real episodes, as the policies that drove them earned it.

    h is the state before a state's z and action are taken in, as a controller sees it. A reward t
    steps later counts `discount`**t, clipped at REWARD_FLOOR as the memory's. Raises UserError when
    no episode is long enough to say what a state is worth.
    """
    features, returns = [], []
    for episode in episodes:
        earned = discounted(episode, discount)
        seen = np.concatenate([episode.mu[:-1], states(episode, memory)], axis=1)
        features.append(seen[: len(earned)])
        returns.append(earned)
    if not sum(map(len, returns)):
        raise UserError(
            f"dream.discount: at {discount} a state's worth takes {_open(discount)} steps after "
            "it, and no episode has more; lower dream.discount, or set it to null"
        )
    seen, earned = np.concatenate(features).astype(np.float64), np.concatenate(returns)
    centre, spread, mean = seen.mean(axis=0), seen.std(axis=0) + TINY, earned.mean()
    scaled = (seen - centre) / spread
    moments = scaled.T @ scaled / len(scaled) + RIDGE * np.eye(scaled.shape[1])
    weights = np.linalg.solve(moments, scaled.T @ (earned - mean) / len(scaled)) / spread
    return Value(weights.astype(np.float32), float(mean - centre @ weights))


def discounted(episode: LatentEpisode, discount: float) -> np.ndarray:
    """Returns the discounted sum of what follows each state of an episode of T steps, float64 (T,)
    or shorter where the end leaves too much of it open.

    Where its last STANDSTILL steps reached no tile, or it left the field, the car is taken to reach
    none ever after.
    """
    rewards = np.maximum(episode.rewards.astype(np.float64), REWARD_FLOOR)
    lost = _is_lost(rewards)
    sum_ = STEP_REWARD / (1 - discount) if lost else 0.0
    sums = np.empty(len(rewards))
    for step in reversed(range(len(rewards))):
        sum_ = rewards[step] + discount * sum_
        sums[step] = sum_
    if lost:
        return sums
    return sums[: max(0, len(sums) - _open(discount))]


def last_tile(episode: LatentEpisode) -> int | None:
    """Returns the step at which a car that was lost afterwards reached its last tile, 0 where it
    reached none; None where it was not lost, or has all of a lap behind it but for a few tiles."""
    tiles = np.flatnonzero(episode.rewards > 0)
    earned = float((episode.rewards[tiles] - STEP_REWARD).sum())
    if not _is_lost(episode.rewards) or earned > NEARLY * LAP_REWARD:
        return None
    return int(tiles[-1:].sum())


def _is_lost(rewards: np.ndarray) -> bool:
    """Returns whether an episode with these rewards, (T,), ended where no tile can be reached."""
    stands_still = len(rewards) >= STANDSTILL and bool((rewards[-STANDSTILL:] < 0).all())
    return stands_still or rewards[-1] <= REWARD_FLOOR


def _open(discount: float) -> int:
    """Returns the steps at an episode's end whose states' worth the end leaves open."""
    return int(np.ceil(np.log(TAIL) / np.log(discount)))


@torch.inference_mode()
def states(episode: LatentEpisode, memory: MDNRNN) -> np.ndarray:
    """Returns the memory's states h before each of an episode's T steps: float32 (T, H)."""
    device = next(memory.parameters()).device
    h, _ = memory.begin(1, device)
    z, action = (torch.from_numpy(x)[None].to(device) for x in (episode.mu[:-1], episode.actions))
    after, _ = memory.states(z, action)
    return torch.cat([h, after[0, :-1]]).cpu().numpy()
