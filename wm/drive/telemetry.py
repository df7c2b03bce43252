"""The state behind a frame, read off the environment: what linear probes look for in latents."""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakKeyDictionary

import gymnasium
import numpy as np

AHEAD = 20.0
"""Length of road, in units, over which the curvature ahead is averaged: about half the view."""


class CentreLine:
    """The closed polyline through a track's tiles; what the telemetry is measured against."""

    def __init__(self, tiles: list[tuple[float, float, float, float]]) -> None:
        """`tiles`: gymnasium's `env.track`, (alpha, heading, x, y) a tile, in driving order."""
        _, heading, x, y = np.array(tiles, dtype=np.float64).T
        self._start = np.stack([x, y], axis=1)  # (N, 2)
        self._along = np.roll(self._start, -1, axis=0) - self._start  # (N, 2)
        self._length = np.hypot(*self._along.T)  # (N,)
        self._squared = np.maximum(self._length**2, 1e-12)
        self._heading = heading

    def locate(self, x: float, y: float, ahead: float) -> tuple[float, float, float]:
        """Returns the offset to the left of the line (units), and at the point nearest to (x, y)
        the line's heading (rad) and its mean curvature over the next `ahead` units (rad a unit,
        positive to the left)."""
        to = np.array([x, y]) - self._start
        fraction = np.clip((to * self._along).sum(axis=1) / self._squared, 0.0, 1.0)
        away = to - fraction[:, None] * self._along
        squared = (away * away).sum(axis=1)
        i = int(squared.argmin())
        left = self._along[i, 0] * to[i, 1] - self._along[i, 1] * to[i, 0]
        offset = math.copysign(math.sqrt(squared[i]), left)
        here, there = self._heading_at(i, fraction[i]), self._heading_after(i, fraction[i], ahead)
        return offset, here, wrap(there - here) / ahead

    def _heading_at(self, i: int, fraction: float) -> float:
        j = (i + 1) % len(self._heading)
        return float(self._heading[i] + fraction * wrap(self._heading[j] - self._heading[i]))

    def _heading_after(self, i: int, fraction: float, ahead: float) -> float:
        left = ahead + fraction * self._length[i]
        while left > self._length[i]:
            left -= self._length[i]
            i = (i + 1) % len(self._length)
        return self._heading_at(i, left / self._length[i])


def wrap(angle: float) -> float:
    """Returns `angle` (rad) brought into [-pi, pi]."""
    return math.remainder(angle, 2 * math.pi)


_centre_lines: WeakKeyDictionary[gymnasium.Env, tuple[Any, CentreLine]] = WeakKeyDictionary()


def telemetry(env: gymnasium.Env) -> np.ndarray:
    """Returns the state behind the present frame, float32 (6,) in the order of
    `wm.core.car_racing.TELEMETRY`, for any renderer.

    Speed in units/s, angular velocity in rad/s, the front wheels' angle in rad, the offset from
    the track's centre line in units (the road is 6.7 to either side), the heading against the
    track's direction in rad, and the track's mean curvature over the next 20 units in rad a unit.
    All angles, the offset and the curvature are positive to the left.
    """
    car_racing: Any = env.unwrapped
    track, line = _centre_lines.get(car_racing, (None, None))
    if line is None or track is not car_racing.track:
        line = CentreLine(car_racing.track)
        _centre_lines[car_racing] = (car_racing.track, line)
    hull, wheel = car_racing.car.hull, car_racing.car.wheels[0]
    velocity = hull.linearVelocity
    offset, direction, curvature = line.locate(hull.position.x, hull.position.y, AHEAD)
    return np.array(
        [
            math.hypot(velocity.x, velocity.y),
            hull.angularVelocity,
            wheel.joint.angle,
            offset,
            wrap(hull.angle - direction),
            curvature,
        ],
        dtype=np.float32,
    )


def wheels_off_road(env: gymnasium.Env) -> int:
    """Returns how many of the car's four wheels touch no tile, in an environment of
    `wm.env.fast` or `wm.env.exact`."""
    car_racing: Any = env.unwrapped
    return sum(not wheel.road_tiles for wheel in car_racing.car.wheels)
