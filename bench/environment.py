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
from wm.core.car_racing import FRAME_SHAPE
from wm.env import official
from wm.env.exact import environment as exact
from wm.env.fast import environment
from wm.env.fast.environment import FastCarRacing

EPISODES, STEPS = 2, 1000


def action(step: int) -> np.ndarray:
    """Returns the action of a step, float32 (3,): gently swerving."""
    return np.array([0.3 * np.sin(0.05 * step), 0.1, 0.0], np.float32)


def drive(env: gymnasium.Env, seeds: range) -> float:
    """Returns the steps a second over an episode a seed."""
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
    """Returns the steps a second with `count` of EnvPool's environments in step, which draw tracks
    of their own and leave the frames at 96x96."""
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


class PhysicsOnly(FastCarRacing):
    """CarRacing-v3 that draws no frames."""

    _blank = np.zeros(FRAME_SHAPE, np.uint8)

    def _draw(self) -> np.ndarray:
        return self._blank


def contests() -> list[Contest]:
    ours_env, exact_env = environment.make(), exact.make()
    gymnasium_env, physics = official.make(), PhysicsOnly()
    ours, ours_exact, theirs = (itertools.count(1000, EPISODES) for _ in range(3))
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
            {
                "ours": lambda: new(ours_env, ours),
                "ours, official frames": lambda: new(exact_env, ours_exact),
                "gymnasium": lambda: new(gymnasium_env, theirs),
                **pools,
            },
        ),
        Contest(
            "environment, tracks seen before, as by a generation's candidates (limit: the physics)",
            "steps/s",
            {
                "ours": lambda: drive(ours_env, seen),
                "ours, official frames": lambda: drive(exact_env, seen),
                "gymnasium": lambda: drive(gymnasium_env, seen),
            },
            limit=lambda: drive(physics, seen),
        ),
    ]
