"""The policies that collect data: nothing is learned yet, and all of the road should be seen.

`Gusts` is the random policy of the sources: full gas, then a new random action every few steps.
It leaves the road in the first corner, so most of what it sees is grass at walking speed.
`Drift` steers and accelerates by Ornstein-Uhlenbeck noise and is drawn to the road that it sees,
each episode by another force: from swerving off it to holding it through corners. A mix of both
covers what a controller in training comes through and what a good one sees.

An episode's actions come from its own generator: they depend neither on the other episodes of the
batch nor on the process that runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from wm.car_racing import TELEMETRY, on_road
from wm.episodes import EpisodeFile

START_STEPS = 20
"""Steps of full gas with which the sources start an episode: the car leaves the start behind."""
HOLD_STEPS = 5
"""Steps for which the sources hold one random action."""
GUSTS = ("coast", "gas", "left", "right", "brake")
GUST_WEIGHTS = (0.1, 0.4, 0.2, 0.2, 0.1)

ROAD_GREEN = 150
"""The road's green channel is below, the grass's above."""
LOOK_AHEAD = slice(20, 44, 4)
"""Rows of the frame in front of the car's nose."""
COLUMNS = np.linspace(-1.0, 1.0, 64)


class Driver(Protocol):
    """One episode's policy: a frame, uint8 (64, 64, 3), to an action, float32 (3,)."""

    def __call__(self, frame: np.ndarray) -> np.ndarray: ...


class Gusts:
    """The sources' policy: 20 steps of full gas, then every 5 steps a new one of `GUSTS`."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._step = 0
        self._action = np.array([0.0, 1.0, 0.0], np.float32)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        if self._step >= START_STEPS and self._step % HOLD_STEPS == 0:
            self._action = self._draw()
        self._step += 1
        return self._action

    def _draw(self) -> np.ndarray:
        gust = GUSTS[self._generator.choice(len(GUSTS), p=GUST_WEIGHTS)]
        force = self._generator.random()
        action = np.zeros(3, np.float32)
        if gust in ("left", "right"):
            action[0] = force if gust == "right" else -force
        elif gust in ("gas", "brake"):
            action[1 if gust == "gas" else 2] = force
        return action


class Drift:
    """Ornstein-Uhlenbeck noise on steering and acceleration, drawn to the road ahead."""

    REVERSION = 0.06  # a step's share of the way back to the mean: remembered for 17 steps
    STEER_NOISE = 0.12  # stationary deviation 0.35
    ACCELERATION_NOISE = 0.1  # stationary deviation 0.29

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._pull = generator.uniform(0.5, 3.0)
        self._pace = generator.uniform(0.0, 0.25)  # mean acceleration: forwards
        self._noise = np.zeros(2)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        kick = self._generator.normal(0.0, (self.STEER_NOISE, self.ACCELERATION_NOISE))
        self._noise += kick - self.REVERSION * self._noise
        steer = self._noise[0] + self._pull * road_ahead(frame)
        acceleration = self._noise[1] + self._pace
        action = np.array([steer, acceleration, -0.5 * acceleration - 0.1])
        return action.clip((-1.0, 0.0, 0.0), 1.0).astype(np.float32)


def road_ahead(frame: np.ndarray) -> float:
    """Where the visible road lies ahead: -1 (left edge) to 1 (right edge), 0 if there is none."""
    weights = (frame[LOOK_AHEAD, :, 1] < ROAD_GREEN).sum(axis=0)
    total = weights.sum()
    return float(weights @ COLUMNS / total) if total else 0.0


class Exploration:
    """A batch of drivers, one an episode, under the interface of `agent.Agent`."""

    def __init__(self, drivers: Sequence[Driver]) -> None:
        self._drivers = drivers

    def begin(self, count: int) -> None:
        """Starts `count` episodes; there must be as many drivers."""
        assert count == len(self._drivers), f"{len(self._drivers)} drivers for {count} episodes"

    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Frames, uint8 (n, 64, 64, 3), of the `n` episodes `live` to actions, float32 (n, 3)."""
        pairs = zip(frames, live, strict=True)
        return np.stack([self._drivers[index](frame) for frame, index in pairs])


def driver(generator: np.random.Generator, random_share: float) -> Driver:
    """Draws an episode's policy: `Gusts` with probability `random_share`, else `Drift`."""
    return Gusts(generator) if generator.random() < random_share else Drift(generator)


def coverage(files: Sequence[EpisodeFile]) -> dict[str, float]:
    """What the episodes saw: totals, the share of frames on the road, and the 5th and 95th
    percentile of every telemetry value."""
    telemetry = np.concatenate([file.telemetry for file in files])
    metrics = {
        "episodes": len(files),
        "frames": len(telemetry),
        "return_mean": float(np.mean([file.rewards.sum() for file in files])),
        "on_road": float(on_road(telemetry).mean()),
    }
    for name, values in zip(TELEMETRY, telemetry.T, strict=True):
        metrics[f"{name}_p05"], metrics[f"{name}_p95"] = map(float, np.percentile(values, [5, 95]))
    return metrics
