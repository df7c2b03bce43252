"""Environment steps over whole episodes, resets included."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import envpool
import gymnasium
import numpy as np

from bench.side_by_side import Contest
from wm.car_racing import FastCarRacing, make

EPISODES, STEPS = 2, 1000


def action(step: int) -> np.ndarray:
    """Gently swerving."""
    return np.array([0.3 * np.sin(0.05 * step), 0.1, 0.0], np.float32)


def drive(env: gymnasium.Env, seeds: range) -> float:
    """Steps a second over an episode a seed."""
    taken, start = 0, time.perf_counter()
    for seed in seeds:
        env.reset(seed=seed)
        for step in range(STEPS):
            _, _, terminated, truncated, _ = env.step(action(step))
            taken += 1
            if terminated or truncated:
                break
    return taken / (time.perf_counter() - start)


def drive_envpool(count: int) -> float:
    """The same with `count` of EnvPool's environments in step, which draw tracks of their own and
    leave the frames at 96x96."""
    pool: Any = envpool.make_gymnasium(
        "CarRacing-v3", num_envs=count, num_threads=1, max_episode_steps=STEPS, seed=1
    )
    start = time.perf_counter()
    pool.reset()
    taken = max(EPISODES * STEPS // count, STEPS // 4)
    for step in range(taken):
        pool.step(np.tile(action(step), (count, 1)))  # starts anew where an episode has ended
    rate = count * taken / (time.perf_counter() - start)
    pool.close()
    return rate


class Undrawn(FastCarRacing):
    """The physics alone."""

    _blank = np.zeros((64, 64, 3), np.uint8)

    def _draw(self) -> np.ndarray:
        return self._blank


def contests() -> list[Contest]:
    fast, official, undrawn = make("fast"), make("official"), Undrawn()
    ours, theirs = itertools.count(1000, EPISODES), itertools.count(1000, EPISODES)
    seen = range(1, 1 + EPISODES)

    def new(env: gymnasium.Env, first: Iterator[int]) -> float:
        start = next(first)
        return drive(env, range(start, start + EPISODES))

    pools = {
        "EnvPool, 1 environment": lambda: drive_envpool(1),
        "EnvPool, 64 environments": lambda: drive_envpool(64),
    }
    return [
        Contest(
            "environment, tracks that are new",
            "steps/s",
            {"ours": lambda: new(fast, ours), "gymnasium": lambda: new(official, theirs), **pools},
        ),
        Contest(
            "environment, tracks seen before, as by a generation's candidates (limit: the physics)",
            "steps/s",
            {"ours": lambda: drive(fast, seen), "gymnasium": lambda: drive(official, seen)},
            limit=lambda: drive(undrawn, seen),
        ),
    ]
