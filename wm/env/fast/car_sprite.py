"""The car as it lands in a frame: gymnasium's own drawing, shrunk by the official path's weights.

The camera follows the hull, so a drawing depends on the wheels' turn and phase alone (and on the
zoom of the first second). Each wheel's few drawings are made when first needed, and kept. A frame
is `frame * transmittance + colour`; the parts do not overlap, so theirs add up.
"""

import math
from functools import cache
from typing import Any

import numpy as np
import pygame
from Box2D import b2World
from gymnasium.envs.box2d.car_dynamics import Car
from gymnasium.envs.box2d.car_racing import SCALE, STATE_H, STATE_W, WINDOW_H, WINDOW_W, ZOOM

from wm.core.car_racing import FRAME_SIZE, VISIBLE_ROWS
from wm.env.fast.track_texture import DARKENING

ROWS, COLUMNS = slice(50, 59), slice(30, 34)  # of a frame: where the car is
# Finer steps than these change a frame by less than a hundredth of a grey level on average
TURNS = 8  # drawings of a front wheel on either side of straight
MAX_TURN = 0.42  # rad; the joint stops near 0.4
PHASES = 16  # drawings of a wheel's white stripe in one revolution
FULL_ZOOM = ZOOM * SCALE


def draw(frame: np.ndarray, car: Car, zoom: float) -> None:
    """Draws `car` onto `frame`, uint8 (64, 64, 3), in place; `zoom` is in pixels a unit."""
    if zoom < FULL_ZOOM:  # a wheel is a fraction of a pixel: drawn straight
        transmittance, color = _whole(zoom)
    else:
        parts = _hull()
        for index, wheel in enumerate(car.wheels):
            turn = round(wheel.joint.angle * (TURNS / MAX_TURN)) if index < 2 else 0
            phase = int(wheel.phase * (PHASES / math.tau)) % PHASES
            parts = parts + _wheel(index, turn, phase)
        transmittance, color = parts
    patch = frame[ROWS, COLUMNS]
    patch[:] = patch * transmittance + color + 0.5  # rounded by the cast to uint8


@cache
def _whole(zoom: float) -> np.ndarray:
    return _parts(_parked().drawlist, zoom)


@cache
def _hull() -> np.ndarray:
    return _parts([_parked().hull], FULL_ZOOM)


@cache
def _wheel(index: int, turn: int, phase: int) -> np.ndarray:
    """Returns what a wheel changes about the hull's transmittance and colour."""
    car = _parked()
    wheel = car.wheels[index]
    wheel.angle, wheel.phase = turn * (MAX_TURN / TURNS), (phase + 0.5) * (math.tau / PHASES)
    drawn = _parts([wheel, car.hull], FULL_ZOOM)
    wheel.angle, wheel.phase = 0.0, 0.0
    return drawn - _hull()


@cache
def _parked() -> Car:
    return Car(b2World((0, 0)), 0.0, 0.0, 0.0)


def _parts(objects: list[Any], zoom: float) -> np.ndarray:
    """Returns what `objects` of the parked car let through, and their colour: float32
    (2, 9, 4, 3)."""
    car = _parked()
    everything, car.drawlist = car.drawlist, objects
    surface = pygame.Surface((_RIGHT - _LEFT, _BOTTOM - _TOP))
    surface.fill(_KEY)
    seat = (WINDOW_W // 2 - _LEFT, WINDOW_H // 4 - (WINDOW_H - _BOTTOM))  # y is turned over below
    car.draw(surface, zoom, seat, 0.0, draw_particles=False)
    car.drawlist = everything
    window = pygame.surfarray.array3d(surface)[:, ::-1].transpose(2, 1, 0)  # (3, height, width)
    through = (window == np.reshape(_KEY, (3, 1, 1))).all(axis=0)
    color = np.where(through, 0, np.maximum(window.astype(np.int16) - DARKENING, 0))
    planes = np.stack([np.broadcast_to(through, color.shape), color])  # (2, 3, height, width)
    shrunk = _TO_ROWS[:, _TOP:_BOTTOM] @ planes @ _TO_COLUMNS[:, _LEFT:_RIGHT].T
    return shrunk.transpose(0, 2, 3, 1).astype(np.float32)


def _area(source: int, target: int) -> np.ndarray:
    """Returns the (target, source) matrix that resizes by area."""
    edges = np.arange(source + 1) * (target / source)
    low = np.arange(target)[:, None]
    inside = np.maximum(np.minimum(edges[1:], low + 1) - np.maximum(edges[:-1], low), 0.0)
    return inside / inside.sum(axis=1, keepdims=True)


def _span(weights: np.ndarray) -> tuple[int, int]:
    used = np.flatnonzero(weights.any(axis=0))
    return int(used[0]), int(used[-1]) + 1


# The official path's two area resizes, window to observation to frame, as one matrix an axis
_TO_ROWS = (_area(VISIBLE_ROWS, FRAME_SIZE) @ _area(WINDOW_H, STATE_H)[:VISIBLE_ROWS])[ROWS]
_TO_COLUMNS = (_area(STATE_W, FRAME_SIZE) @ _area(WINDOW_W, STATE_W))[COLUMNS]
_TOP, _BOTTOM = _span(_TO_ROWS)
_LEFT, _RIGHT = _span(_TO_COLUMNS)
_KEY = (255, 0, 255)  # no part of the car has this colour
