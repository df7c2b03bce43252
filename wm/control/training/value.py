"""What a state is worth: the discounted rewards that real episodes earned after one like it.

A ridge regression on what a controller sees. Where an episode ends on the road, what would have
followed counts as what the regression makes of its last state: least squares of temporal
differences with lambda = 1 (Boyan 1999). So every state counts, however short its episode.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from wm.core.car_racing import LAP_REWARD, REWARD_FLOOR, STEP_REWARD
from wm.memory.latents import LatentEpisode
from wm.memory.networks.mdnrnn import MDNRNN

RIDGE = 0.01
"""The penalty on a weight, where features have unit variance; the squared error is a mean."""
STANDSTILL = 50
"""Steps without a tile at an episode's end after which it is taken to go on so."""
NEARLY = 0.85
"""Share of a lap after which a car that reaches no tile is not lost: it is on its second lap, and
the tiles that it has left out are few (EXPERIMENTS.md)."""
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
def fit(
    episodes: Iterable[LatentEpisode], memory: MDNRNN, discount: float, lost_cost: float
) -> Value:
    """Returns the value of the states of real episodes, as the policies that drove them earned it.

    h is the state before a state's z and action are taken in, as a controller sees it. A reward t
    steps later counts `discount`**t, clipped at REWARD_FLOOR as the memory's; so does `lost_cost`,
    which is taken off at the end of an episode that lost the car.
    """
    drives = []
    for episode in episodes:
        seen = np.concatenate([episode.mu, states(episode, memory)], axis=1)
        drives.append((seen, *discounted(episode, discount, lost_cost)))
    valued = np.concatenate([seen[: len(earned)] for seen, earned, _ in drives])
    centre = valued.mean(axis=0, dtype=np.float64)
    spread = valued.std(axis=0, dtype=np.float64) + TINY
    penalty = RIDGE * len(valued) * np.diag([*np.ones(len(centre)), 0.0])
    moments, products = penalty, np.zeros(len(penalty))
    for seen, earned, open_ in drives:
        scaled = np.column_stack([(seen - centre) / spread, np.ones(len(seen))])
        states_, end = scaled[: len(earned)], scaled[len(earned)]
        moments = moments + states_.T @ (states_ - np.outer(open_, end))
        products = products + states_.T @ earned
    solved = np.linalg.solve(moments, products)
    weights = solved[:-1] / spread
    return Value(weights.astype(np.float32), float(solved[-1] - centre @ weights))


def discounted(
    episode: LatentEpisode, discount: float, lost_cost: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the discounted sum of what follows each state of an episode of T steps until its end,
    and what the state at the end counts besides: float64 (T,) each.

    A car that is lost reaches no tile ever after: the state at its end counts nothing. Where a lap
    is driven but for a few tiles, the end is the last tile's step: after it the car drives where it
    has been, and what it would earn elsewhere is not seen.
    """
    rewards = np.maximum(episode.rewards.astype(np.float64), REWARD_FLOOR)
    lost = last_tile(episode) is not None
    if not lost and _ends_without_a_tile(rewards):
        rewards = rewards[: np.flatnonzero(rewards > 0)[-1] + 1]
    sum_ = STEP_REWARD / (1 - discount) - lost_cost if lost else 0.0
    sums = np.empty(len(rewards))
    for step in reversed(range(len(rewards))):
        sum_ = rewards[step] + discount * sum_
        sums[step] = sum_
    left = discount ** np.arange(len(rewards), 0.0, -1.0)
    return sums, np.zeros_like(left) if lost else left


def last_tile(episode: LatentEpisode) -> int | None:
    """Returns the step at which a car that was lost afterwards reached its last tile, 0 where it
    reached none; None where it was not lost, or has all of a lap behind it but for a few tiles."""
    tiles = np.flatnonzero(episode.rewards > 0)
    earned = float((episode.rewards[tiles] - STEP_REWARD).sum())
    if not _ends_without_a_tile(episode.rewards) or earned > NEARLY * LAP_REWARD:
        return None
    return int(tiles[-1:].sum())


def _ends_without_a_tile(rewards: np.ndarray) -> bool:
    """Returns whether an episode with these rewards, (T,), reached no tile in its last STANDSTILL
    steps, or left the field."""
    stands_still = len(rewards) >= STANDSTILL and bool((rewards[-STANDSTILL:] < 0).all())
    return stands_still or rewards[-1] <= REWARD_FLOOR


@torch.inference_mode()
def states(episode: LatentEpisode, memory: MDNRNN) -> np.ndarray:
    """Returns the memory's states h before each of an episode's T steps and after the last one:
    float32 (T + 1, H)."""
    device = next(memory.parameters()).device
    h, _ = memory.begin(1, device)
    z, action = (torch.from_numpy(x)[None].to(device) for x in (episode.mu[:-1], episode.actions))
    after, _ = memory.states(z, action)
    return torch.cat([h, after[0]]).cpu().numpy()
