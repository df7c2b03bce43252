"""CarRacing-v3 whose frames are the official ones, byte for byte, without pygame's drawing."""

from __future__ import annotations

import math
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from Box2D import b2_staticBody, b2Filter
from gymnasium.envs.box2d.car_dynamics import SIZE, WHEEL_R, WHEEL_W, WHEEL_WHITE
from gymnasium.envs.box2d.car_racing import (
    GRASS_DIM,
    PLAYFIELD,
    SCALE,
    WINDOW_H,
    WINDOW_W,
    ZOOM,
)

from wm.core.car_racing import OBSERVATION_SIZE
from wm.env.exact.polygons import CAR_CORNERS, CORNERS
from wm.env.exact.resize import preprocess
from wm.env.exact.row import pixel
from wm.env.exact.window import observe, place
from wm.env.fast.car_physics import TileListener
from wm.env.fast.environment import FastCarRacing

FIELD_COLOR, GRASS_COLOR = (102, 204, 102), (102, 230, 102)
ROAD_COLOR = 102
"""Each part of the color of a tile that anything has touched; others may be lighter."""
KERB_PARTS = 255
"""What a kerb's color has and no tile's: red at its full."""
EPSILON = 1e-6
"""pygame's Vector2 turns by a right angle where the angle is as near to one."""
STRIPE = 1.2
"""Radians of a wheel's turn that its white stripe takes."""
EVERYTHING = 0xFFFF


def make() -> ExactCarRacing:
    """Returns CarRacing-v3 with the frames, rewards and terminations of `wm.env.official`, bit for
    bit. There is no time limit and no `render`. `reset(seed=)` defines the track."""
    return ExactCarRacing()


class ExactCarRacing(FastCarRacing):
    """CarRacing-v3 with the official frames, uint8 (64, 64, 3); `make` says what it keeps."""

    def __init__(self) -> None:
        super().__init__()
        # below the visible rows it stays black: no frame shows them
        self._observation = np.zeros((OBSERVATION_SIZE, OBSERVATION_SIZE, 3), np.uint8)

    def _build(self) -> None:
        super()._build()
        polygons, ground = self._track.polygons, _ground()
        self._polygons = np.concatenate([ground, np.array([corners for corners, _ in polygons])])
        colors = [FIELD_COLOR] + [GRASS_COLOR] * (len(ground) - 1) + [c for _, c in polygons]
        self._colors = np.array([pixel(*color) for color in colors])
        tiles = [i for i, color in enumerate(colors) if i >= len(ground) and color[0] < KERB_PARTS]
        self._parts = _Parts(self.car)
        grey = pixel(ROAD_COLOR, ROAD_COLOR, ROAD_COLOR)

        def touched(tile: int) -> None:
            self._colors[tiles[tile]] = grey

        # the hull too, which in the fast environment touches nothing
        (road,) = (body for body in self.world.bodies if body.type == b2_staticBody)
        for fixture in road.fixtures:
            fixture.filterData = b2Filter(categoryBits=1, maskBits=EVERYTHING, groupIndex=0)
        listener = _Listener(len(self.track), self._reached, touched)
        self.world.contactListener = self.contactListener_keepref = listener

    def _draw(self) -> np.ndarray:
        """Returns the frame, a fresh array."""
        car, t = self.car, self.t
        x, y = car.hull.position
        zoom = 0.1 * SCALE * max(1 - t, 0) + ZOOM * SCALE * min(t, 1)
        cos, sin = _turn(-car.hull.angle)
        scroll_x, scroll_y = -x * zoom, -y * zoom
        view = (
            cos, sin, zoom,
            WINDOW_W / 2 + (cos * scroll_x - sin * scroll_y),
            WINDOW_H / 4 + (sin * scroll_x + cos * scroll_y),
        )  # fmt: skip
        parts = self._parts
        parts.place(car, view)
        observe(
            self._polygons, self._colors, view, parts.placed, parts.corners, parts.colors,
            self._observation,
        )  # fmt: skip
        return preprocess(self._observation)


class _Listener(TileListener):
    """Calls `touched(tile)`, too, whatever part of the car comes onto a tile or leaves it."""

    def __init__(self, tiles: int, reached: Any, touched: Any) -> None:
        super().__init__(tiles, reached)
        self._touched = touched

    def BeginContact(self, contact: Any) -> None:  # noqa: N802
        """Takes note of what has come onto a tile."""
        tile, wheel = self._parties(contact)
        self._touched(tile)
        if wheel is not None:
            super().BeginContact(contact)

    def EndContact(self, contact: Any) -> None:  # noqa: N802
        """Takes note of what has left a tile."""
        tile, wheel = self._parties(contact)
        self._touched(tile)
        if wheel is not None:
            super().EndContact(contact)


class _Parts:
    """The polygons that a car is drawn as, in gymnasium's order: each wheel with its stripe, then
    the hull's."""

    def __init__(self, car: Any) -> None:
        shapes, bodies, colors = [], [], []
        for number, body in enumerate([*car.wheels, car.hull]):
            for fixture in body.fixtures:
                shapes.append(fixture.shape.vertices)
                bodies.append(number)
                colors.append([int(part * 255) for part in body.color])
                if number < len(car.wheels):
                    shapes.append([(0.0, 0.0)] * CORNERS)
                    bodies.append(number)
                    colors.append(list(WHEEL_WHITE))
        self.corners = np.array([len(shape) for shape in shapes])
        self.colors = np.array([pixel(*color) for color in colors])
        self._bodies = np.array(bodies)
        self._local = np.zeros((len(shapes), CAR_CORNERS, 2), np.float32)
        for shape, local in zip(shapes, self._local, strict=True):
            local[: len(shape)] = shape
        self._local[1:8:2, (0, 3), 0], self._local[1:8:2, (1, 2), 0] = (
            -WHEEL_W * SIZE,
            WHEEL_W * SIZE,
        )
        self.placed = np.zeros(self._local.shape, np.int64)
        self._transforms = np.empty((len(car.wheels) + 1, 4), np.float32)

    def place(self, car: Any, view: tuple[float, float, float, float, float]) -> None:
        """Finds where the car is in the window."""
        for number, wheel in enumerate(car.wheels):
            stripe = 2 * number + 1
            near, far = math.sin(wheel.phase), math.sin(wheel.phase + STRIPE)
            self.corners[stripe] = 0 if near > 0 and far > 0 else CORNERS
            top, bottom = math.cos(wheel.phase), math.cos(wheel.phase + STRIPE)
            if near > 0:
                top = math.copysign(1.0, top) if top else 0.0
            if far > 0:
                bottom = math.copysign(1.0, bottom) if bottom else 0.0
            self._local[stripe, :2, 1] = WHEEL_R * top * SIZE
            self._local[stripe, 2:4, 1] = WHEEL_R * bottom * SIZE
        for transform, body in zip(self._transforms, [*car.wheels, car.hull], strict=True):
            where = body.transform
            turn, position = where.q, where.position
            transform[:] = turn.c, turn.s, position.x, position.y
        place(self._local, self.corners, self._bodies, self._transforms, view, self.placed)


@cache
def _ground() -> np.ndarray:
    """Returns the field and the squares of grass on it, float64 (401, 4, 2), in gymnasium's order
    and units."""
    far, side = PLAYFIELD, GRASS_DIM
    squares = [
        [
            (side * x + side, side * y + 0),
            (side * x + 0, side * y + 0),
            (side * x + 0, side * y + side),
            (side * x + side, side * y + side),
        ]
        for x, y in product(range(-20, 20, 2), range(-20, 20, 2))
    ]
    return np.array([[(far, far), (far, -far), (-far, -far), (-far, far)], *squares])


def _turn(angle: float) -> tuple[float, float]:
    """Returns what pygame's Vector2.rotate_rad multiplies by: cosine and sine of the angle, or,
    near a right one, exactly 0 and 1 (_vector2_rotate_helper)."""
    angle = math.fmod(angle, math.tau)
    if angle < 0:
        angle += math.tau
    if math.fmod(angle + EPSILON, math.pi / 2) < 2 * EPSILON:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[
            int((angle + EPSILON) / (math.pi / 2)) % 4
        ]
    return math.cos(angle), math.sin(angle)
