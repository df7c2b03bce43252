"""Drivers for tests: functions of the step, the telemetry and a generator to an action."""

from collections.abc import Callable

import numpy as np

Driver = Callable[[int, np.ndarray, np.random.Generator], np.ndarray]


def action(steer: float, gas: float, brake: float) -> np.ndarray:
    return np.clip(np.array([steer, gas, brake], np.float32), [-1, 0, 0], 1).astype(np.float32)


def lap(step: int, telemetry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Follows the track; finishes a lap on nearly every one."""
    speed, turning, _, offset, heading, curvature = telemetry.tolist()
    target = 60.0 - 450.0 * abs(curvature)
    steer = 0.1 * offset + 1.0 * heading + 0.05 * turning - 8.0 * curvature
    return action(steer, 0.05 * (target - speed), 0.02 * (speed - target - 5.0))


def spin(step: int, telemetry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Full gas into full turns, one way and then the other, and locks the wheels now and then."""
    return action((-1) ** (step // 70), 1.0, 1.0 if step % 50 > 45 else 0.0)


def leave(step: int, telemetry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Straight on until the playfield ends."""
    return action(0.0, 1.0, 0.0)


def wander(step: int, telemetry: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Anything, most of it gas, brakes of every strength."""
    return action(rng.uniform(-1, 1), rng.uniform(0, 1), rng.uniform(-1.5, 1))
