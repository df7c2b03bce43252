"""The environment over a million random steps beside gymnasium's: the same physics to the bit, how
far memory grows, and what an episode leaves allocated, in ours and in gymnasium's own."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing

from wm.env.fast import track
from wm.env.fast.environment import make

HELD = 25  # steps that an action is held, so that a random driver gets somewhere


class Undrawn(CarRacing):
    """gymnasium's own, its drawing left out."""

    def _render(self, mode: str) -> Any:
        return None


def rows(steps: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields a row beside gymnasium's, one alone, and what an episode leaves in each; each row is a
    process of its own."""
    spawn = multiprocessing.get_context("spawn")
    for compared in (True, False):
        with spawn.Pool(1) as process:
            yield process.apply(_row, (steps, seed, compared))
    for ours in (True, False):
        with spawn.Pool(1) as process:
            yield process.apply(_left_row, (max(20, steps // 5000), ours))


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
            track_seed = int(rng.integers(2**31))
            fast.reset(seed=track_seed)
            if official is not None:
                official.reset(seed=track_seed)
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


def _left_row(episodes: int, ours: bool) -> dict[str, Any]:
    """Returns what an episode of 10 steps on a new track leaves allocated, in our environment or in
    gymnasium's, drawn and unmodified; as many episodes before those counted fill what is kept."""
    env: Any = make() if ours else gymnasium.make("CarRacing-v3")

    def after(seeds: range) -> tuple[int | None, int]:
        for seed in (*seeds, 0):  # the last track, which is still held, is the same every time
            env.reset(seed=seed)
            for _ in range(10):
                env.step(np.array([0.1, 1.0, 0.0], np.float32))
        track._cache.clear()
        gc.collect()
        return allocated_bytes(), sys.getallocatedblocks()

    malloc, blocks = after(range(1, 1 + episodes))
    malloc_later, blocks_later = after(range(1 + episodes, 1 + 2 * episodes))
    row: dict[str, Any] = {"episodes": episodes, "whose": "ours" if ours else "gymnasium's"}
    if malloc is not None and malloc_later is not None:
        row["malloc_bytes_an_episode"] = round((malloc_later - malloc) / (episodes + 1))
    row["python_blocks_an_episode"] = round((blocks_later - blocks) / (episodes + 1), 1)
    return row


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


class _Mallinfo2(ctypes.Structure):
    """What the C library tells of its heap, in bytes; see mallinfo(3)."""

    _fields_ = [
        ("arena_to_hblks", ctypes.c_size_t * 4),
        ("hblkhd", ctypes.c_size_t),
        ("usmblks_and_fsmblks", ctypes.c_size_t * 2),
        ("uordblks", ctypes.c_size_t),
        ("fordblks_and_keepcost", ctypes.c_size_t * 2),
    ]


def allocated_bytes() -> int | None:
    """Returns the bytes that malloc has given out, without those that it keeps for later; None
    where the C library does not tell (it is glibc 2.33 or newer that does)."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return None
    mallinfo2.restype = _Mallinfo2
    heap = mallinfo2()
    return int(heap.uordblks + heap.hblkhd)
