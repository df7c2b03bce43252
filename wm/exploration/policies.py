"""The policies that collect data: nothing is learned yet, and frames should show all of the road.

`RandomPolicy` is that of other implementations: full gas, then a new random action every few steps.
It leaves the road in the first corner, so most of what it sees is grass at walking speed.
`RoadFollower` steers and accelerates by Ornstein-Uhlenbeck noise and towards the road that it sees,
each episode with another gain: from swerving off it to holding it through corners. A mix of both
covers what a controller in training comes through and what a good one sees.

An episode's actions come from its own generator: they depend neither on the other episodes of the
batch nor on the process that runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from wm.core.car_racing import ACTION_HIGH, ACTION_LOW, ACTION_SIZE, FRAME_SIZE, ROAD_GREEN

START_STEPS = 20
"""Steps of full gas at the start of an episode: the car leaves the start behind."""
HOLD_STEPS = 5
"""Steps for which one random action is held."""
MOVES = ("coast", "gas", "left", "right", "brake")
MOVE_WEIGHTS = (0.1, 0.4, 0.2, 0.2, 0.1)

LOOK_AHEAD = slice(20, 44, 4)
"""Rows of the frame in front of the car's nose."""
COLUMNS = np.linspace(-1.0, 1.0, FRAME_SIZE)


class EpisodePolicy(Protocol):
    """The policy of one episode: a frame, uint8 (64, 64, 3), to an action, float32 (3,)."""

    def __call__(self, frame: np.ndarray) -> np.ndarray: ...


class RandomPolicy:
    """Full gas for 20 steps, then every 5 steps a new one of `MOVES`, of random strength."""

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
        move = MOVES[self._generator.choice(len(MOVES), p=MOVE_WEIGHTS)]
        force = self._generator.random()
        action = np.zeros(ACTION_SIZE, np.float32)
        if move in ("left", "right"):
            action[0] = force if move == "right" else -force
        elif move in ("gas", "brake"):
            action[1 if move == "gas" else 2] = force
        return action


class RoadFollower:
    """Ornstein-Uhlenbeck noise on steering and acceleration, and steering towards the road."""

    REVERSION = 0.06  # a step's share of the way back to the mean: remembered for 17 steps
    STEER_NOISE = 0.12  # stationary deviation 0.35
    ACCELERATION_NOISE = 0.1  # stationary deviation 0.29

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._gain = generator.uniform(0.5, 3.0)
        self._acceleration = generator.uniform(0.0, 0.25)  # its mean: forwards
        self._noise = np.zeros(2)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        kick = self._generator.normal(0.0, (self.STEER_NOISE, self.ACCELERATION_NOISE))
        self._noise += kick - self.REVERSION * self._noise
        steer = self._noise[0] + self._gain * road_ahead(frame)
        acceleration = self._noise[1] + self._acceleration
        action = np.array([steer, acceleration, -0.5 * acceleration - 0.1])
        return action.clip(ACTION_LOW, ACTION_HIGH).astype(np.float32)


def road_ahead(frame: np.ndarray) -> float:
    """Returns where the road lies in the frame, uint8 (64, 64, 3), ahead of the car: -1 (left edge)
    to 1 (right edge), 0 if there is none."""
    weights = (frame[LOOK_AHEAD, :, 1] < ROAD_GREEN).sum(axis=0)
    total = weights.sum()
    return float(weights @ COLUMNS / total) if total else 0.0


class Exploration:
    """A policy of its own for each episode of a batch; implements
    wm.drive.rollout.Policy."""

    def __init__(self, policies: Sequence[EpisodePolicy]) -> None:
        self._policies = policies

    def begin(self, count: int) -> None:
        """Starts `count` episodes; there must be as many policies."""
        assert count == len(self._policies), f"{len(self._policies)} policies for {count} episodes"

    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Returns actions, float32 (n, 3), for frames, uint8 (n, 64, 64, 3), of episodes `live`."""
        pairs = zip(frames, live, strict=True)
        return np.stack([self._policies[index](frame) for frame, index in pairs])


def draw_policy(generator: np.random.Generator, random_share: float) -> EpisodePolicy:
    """Draws an episode's policy: a RandomPolicy with probability `random_share`, else a
    RoadFollower. The policy goes on drawing from `generator`."""
    return RandomPolicy(generator) if generator.random() < random_share else RoadFollower(generator)
