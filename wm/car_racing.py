"""CarRacing-v3, twice: gymnasium's own, and one that steps the same physics and draws it fast."""

import math
from typing import Any, Literal
from weakref import WeakKeyDictionary

import cv2
import gymnasium
import numpy as np
from Box2D import b2World
from gymnasium import spaces
from gymnasium.envs.box2d.car_racing import (
    FPS,
    PLAYFIELD,
    SCALE,
    TRACK_WIDTH,
    WINDOW_H,
    WINDOW_W,
    ZOOM,
    CarRacing,
)
from gymnasium.error import InvalidAction

from wm import car_sprite
from wm.car_physics import FastCar, TileListener
from wm.track import CentreLine, Track, survey, wrap
from wm.track_texture import LEVELS, TEXELS, grass

FRAME = (64, 64, 3)
VISIBLE_ROWS = 84  # of the observation's 96; below them are the indicators
TELEMETRY = (
    "speed",
    "angular_velocity",
    "wheel_angle",
    "lateral_offset",
    "heading_error",
    "curvature_ahead",
)
AHEAD = 20.0  # units of road over which the curvature ahead is averaged: about half the view
_SPACE = spaces.Box(0, 255, FRAME, np.uint8)
_PIXEL_W = WINDOW_W / 64  # of the window, in one pixel of a frame
_PIXEL_H = WINDOW_H * VISIBLE_ROWS / 96 / 64
_LEFT = 0.5 * _PIXEL_W - WINDOW_W / 2  # from the hull to the first pixel's centre, in the window
_UP = WINDOW_H - WINDOW_H / 4 - 0.5 * _PIXEL_H
_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def make(renderer: Literal["fast", "official"]) -> gymnasium.Env:
    """CarRacing-v3 with frames, uint8 (64, 64, 3) RGB, as observations; an action is float32 (3,):
    steer in [-1, 1] (positive to the right), gas and brake in [0, 1].

    `official` is gymnasium's environment, unmodified, its observation through `preprocess`; it
    truncates after 1,000 steps. `fast` has the same physics, rewards and tracks bit for bit, and
    nearly the same pixels, no time limit and no `render`. `reset(seed=)` defines the track.
    """
    cv2.setNumThreads(1)  # parallelism is across processes
    if renderer == "fast":
        return FastCarRacing()
    env = gymnasium.make("CarRacing-v3")
    return gymnasium.wrappers.TransformObservation(env, preprocess, _SPACE)


def preprocess(observation: np.ndarray) -> np.ndarray:
    """CarRacing's observation, uint8 (96, 96, 3), to a frame, uint8 (64, 64, 3): the indicator bar
    cut off, the rest resized by area."""
    assert observation.shape == (96, 96, 3), observation.shape
    assert observation.dtype == np.uint8, observation.dtype
    return cv2.resize(observation[:VISIBLE_ROWS], FRAME[:2], interpolation=cv2.INTER_AREA)


_centre_lines: WeakKeyDictionary[gymnasium.Env, tuple[Any, CentreLine]] = WeakKeyDictionary()


def telemetry(env: gymnasium.Env) -> np.ndarray:
    """The state behind the present frame, float32 (6,) in TELEMETRY's order, for either renderer.

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


def on_road(values: np.ndarray) -> np.ndarray:
    """Whether the car is on the road, bool (N,), from its telemetry (N, 6)."""
    return np.abs(values[:, TELEMETRY.index("lateral_offset")]) < TRACK_WIDTH


class FastCarRacing(CarRacing):
    """CarRacing-v3 with frames as observations; see `make`."""

    car: Any  # a FastCar from the first reset on

    def __init__(self) -> None:
        super().__init__()
        self.metadata = {"render_modes": [], "render_fps": FPS}
        self.observation_space = _SPACE
        self._track: Track
        self._canvas = np.empty((64, 64, 4), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new episode; its first frame. The track follows from `seed`."""
        gymnasium.Env.reset(self, seed=seed)
        self._track = survey(self.np_random)
        self.track = self._track.tiles
        self.reward = self.prev_reward = 0.0
        self.tile_visited_count = 0
        self.t = 0.0
        self.new_lap = False
        if self.car is not None:
            self.car.destroy()  # or its wheels, which refer to themselves, would leak
        # A world of its own for each episode: nothing can depend on the episodes before
        self.contactListener_keepref = TileListener(len(self.track), self._reached)
        self.world = b2World((0, 0), contactListener=self.contactListener_keepref)
        road = self.world.CreateStaticBody()
        for fixture in self._track.fixtures:
            road.CreateFixture(fixture)
        self.car = FastCar(self.world, *self.track[0][1:4])
        self._simulate()
        return self._draw(), {}

    def step(  # type: ignore[override]
        self, action: np.ndarray
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step of 1/50 s. `terminated` with info["lap_finished"] telling which of the two ends
        it was: the lap, or the edge of the playfield; never truncated. Raises InvalidAction for
        what is not three finite numbers, which Box2D would take in and never recover from."""
        if action.shape != (3,) or not math.isfinite(sum(action.tolist())):
            raise InvalidAction(f"an action is 3 finite numbers, not {action}")
        steer, gas, brake = action.tolist()
        self.car.control(-steer, gas, brake)
        self._simulate()
        self.reward -= 0.1
        reward = self.reward - self.prev_reward
        self.prev_reward = self.reward
        terminated, info = False, {}
        if self.new_lap or self.tile_visited_count == len(self.track):
            terminated, info = True, {"lap_finished": True}
        x, y = self.car.hull.position
        if abs(x) > PLAYFIELD or abs(y) > PLAYFIELD:
            terminated, info, reward = True, {"lap_finished": False}, -100.0
        return self._draw(), reward, terminated, False, info

    def close(self) -> None:
        """Nothing is open: there is no window."""

    def _simulate(self) -> None:
        self.car.step(1.0 / FPS)
        self.world.Step(1.0 / FPS, 6 * 30, 2 * 30)
        self.t += 1.0 / FPS

    def _reached(self, tile: int) -> None:
        self.reward += 1000.0 / len(self.track)
        self.tile_visited_count += 1
        if tile == 0 and self.tile_visited_count / len(self.track) > self.lap_complete_percent:
            self.new_lap = True

    def _draw(self) -> np.ndarray:
        """The frame, a fresh array."""
        hull = self.car.hull
        x, y = hull.position
        zoom = 0.1 * SCALE * max(1 - self.t, 0) + ZOOM * SCALE * min(self.t, 1)
        level = min(max(round(math.log2(ZOOM * SCALE / zoom)), 0), LEVELS - 1)
        # A frame's pixel (column, row) shows the playfield's texel (ax column + bx row + cx,
        # ay column + by row + cy): the window is upright on the hull, which is three quarters down
        texels = TEXELS / (1 << level)
        cos = math.cos(hull.angle) * texels / zoom
        sin = math.sin(hull.angle) * texels / zoom
        ax, ay, bx, by = cos * _PIXEL_W, sin * _PIXEL_W, sin * _PIXEL_H, -cos * _PIXEL_H
        cx = (x + PLAYFIELD) * texels + cos * _LEFT - sin * _UP - 0.5
        cy = (y + PLAYFIELD) * texels + sin * _LEFT + cos * _UP - 0.5

        road = self._track.texture
        picture = road.levels[level]
        height, width = picture.shape[:2]
        rx, ry = cx - (road.left >> level), cy - (road.top >> level)
        middle_x, reach_x = rx + 31.5 * (ax + bx), 31.5 * (abs(ax) + abs(bx))
        middle_y, reach_y = ry + 31.5 * (ay + by), 31.5 * (abs(ay) + abs(by))
        view, canvas = np.array([[ax, bx, cx], [ay, by, cy]]), self._canvas
        if not (
            reach_x <= middle_x <= width - 1 - reach_x
            and reach_y <= middle_y <= height - 1 - reach_y
        ):  # more is seen than the road's rectangle
            cv2.warpAffine(grass().levels[level], view, (64, 64), canvas, _FLAGS)
        view[:, 2] = rx, ry
        cv2.warpAffine(picture, view, (64, 64), canvas, _FLAGS, cv2.BORDER_TRANSPARENT)
        frame = cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB)
        car_sprite.draw(frame, self.car, zoom)
        return frame
