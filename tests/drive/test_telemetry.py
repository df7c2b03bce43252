"""What is read off the environment, on the fast renderer and on the official one."""

from typing import Any

import numpy as np
import pytest

from tests.env.drivers import wander
from wm.core.car_racing import TELEMETRY
from wm.drive.telemetry import telemetry
from wm.env import official
from wm.env.fast import environment


def test_telemetry_is_the_same_for_both_renderers() -> None:
    drawn_fast, drawn_officially = environment.make(), official.make()
    drawn_fast.reset(seed=2)
    drawn_officially.reset(seed=2)
    for step in range(20):
        assert np.array_equal(telemetry(drawn_fast), telemetry(drawn_officially))
        action = wander(step, telemetry(drawn_fast), np.random.default_rng(step))
        drawn_fast.step(action)
        drawn_officially.step(action)


@pytest.mark.parametrize("seed", range(6))
def test_telemetry_at_the_start_and_aside(seed: int) -> None:
    env: Any = environment.make()
    env.reset(seed=seed)
    start = dict(zip(TELEMETRY, telemetry(env).tolist(), strict=True))
    assert telemetry(env).dtype == np.float32
    for name in ("speed", "angular_velocity", "wheel_angle", "lateral_offset", "heading_error"):
        assert abs(start[name]) < 0.1, name
    hull = env.unwrapped.car.hull
    x, y = hull.position
    left = np.array([-np.cos(hull.angle), -np.sin(hull.angle)])
    for aside in (-5.0, -1.0, 1.0, 5.0):
        hull.position = (x + aside * left[0], y + aside * left[1])
        offset = telemetry(env)[3]
        assert offset == pytest.approx(start["lateral_offset"] + aside, abs=0.3)
    hull.position = (x, y)
    hull.angle += 0.25  # to the left
    assert telemetry(env)[4] == pytest.approx(start["heading_error"] + 0.25, abs=1e-4)


def test_curvature_ahead_is_the_track_s_turn() -> None:
    env: Any = environment.make()
    env.reset(seed=0)
    tiles = env.unwrapped.track
    hull = env.unwrapped.car.hull
    for i in range(0, len(tiles) - 10, 7):
        hull.position = tiles[i][2:4]
        turn = [(tiles[i + j + 1][1] - tiles[i + j][1]) for j in range(6)]
        turn = [(t + np.pi) % (2 * np.pi) - np.pi for t in turn]
        # 20 units are five and five sevenths tiles of 3.5
        expected = (sum(turn[:5]) + turn[5] * 5 / 7) / 20.0
        assert telemetry(env)[5] == pytest.approx(expected, abs=5e-3)
