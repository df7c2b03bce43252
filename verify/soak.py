"""The environment over a million random steps beside gymnasium's: the same physics to the bit, and
how far memory grows."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing

from wm.env.fast.environment import make

HELD = 25  # steps that an action is held, so that a random driver gets somewhere


class Undrawn(CarRacing):
    """gymnasium's own, its drawing left out."""

    def _render(self, mode: str) -> Any:
        return None


def rows(steps: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields a row beside gymnasium's, and one alone, where what memory grows is ours; each is a
    process of its own."""
    spawn = multiprocessing.get_context("spawn")
    for compared in (True, False):
        with spawn.Pool(1) as process:
            yield process.apply(_row, (steps, seed, compared))


def _row(steps: int, seed: int, compared: bool) -> dict[str, Any]:
    """Returns the row of some steps, up to the first that differs."""
    fast: Any = make()
    official = Undrawn() if compared else None
    rng = np.random.default_rng(seed)
    episodes = 0
    over, differs_at = True, None
    memory, started = [], time.monotonic()
    for step in range(steps):
        if over:
            track = int(rng.integers(2**31))
            fast.reset(seed=track)
            if official is not None:
                official.reset(seed=track)
            episodes += 1
            taken = 0
        if taken % HELD == 0:
            action = rng.uniform([-1, 0, 0], [1, 1, 0.3]).astype(np.float32)
        _, reward, *end, _ = fast.step(action)
        if step % max(1, steps // 100) == 0:
            memory.append(resident_mib())
        if official is not None:
            _, expected, *expected_end, _ = official.step(action)
            if (reward, end, car_state(fast)) != (expected, expected_end, car_state(official)):
                differs_at = step
                break
        taken += 1
        over = any(end) or taken == 1000
    tenth = len(memory) // 10
    return {
        "steps": step + 1,
        "episodes": episodes,
        **({"differs_at": differs_at} if compared else {"alone": True}),
        "mib_after_a_tenth": round(memory[tenth], 1),
        "mib_at_the_end": round(memory[-1], 1),
        "seconds": round(time.monotonic() - started),
    }


def car_state(env: Any) -> list[float]:
    """Returns everything that Box2D and the wheels know of the car."""
    car = env.unwrapped.car
    state = []
    for body in (car.hull, *car.wheels):
        state += [*body.position, body.angle, *body.linearVelocity, body.angularVelocity]
    for wheel in car.wheels:
        state += [wheel.omega, wheel.phase, wheel.gas, wheel.brake, wheel.steer, wheel.joint.angle]
    return state


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20
