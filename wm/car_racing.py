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
    WINDOW_H,
    WINDOW_W,
    ZOOM,
    CarRacing,
)

from wm import car_sprite, track_texture
from wm.car_physics import FastCar, TileListener
from wm.track import CentreLine, Track, survey, wrap

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
    assert observation.shape == (96, 96, 3) and observation.dtype == np.uint8
    return cv2.resize(observation[:VISIBLE_ROWS], FRAME[:2], interpolation=cv2.INTER_AREA)


_centre_lines: WeakKeyDictionary[gymnasium.Env, tuple[Any, CentreLine]] = WeakKeyDictionary()


def telemetry(env: gymnasium.Env) -> np.ndarray:
    """The state behind the present frame, float32 (6,) in TELEMETRY's order, for either renderer.

    Speed in units/s, angular velocity in rad/s, the front wheels' angle in rad, the offset from the
    track's centre line in units (the road is 6.7 to either side), the heading against the track's
    direction in rad, and the track's mean curvature over the next 20 units in rad a unit. All angles,
    the offset and the curvature are positive to the left.
    """
    car_racing: Any = env.unwrapped
    track, line = _centre_lines.get(car_racing, (None, None))
    if line is None or track is not car_racing.track:
        line = CentreLine(car_racing.track)
        _centre_lines[car_racing] = (car_racing.track, line)
    hull, wheel = car_racing.car.hull, car_racing.car.wheels[0]
    velocity = hull.linearVelocity
    offset, direction, curvature = line.locate(*hull.position, AHEAD)
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


class FastCarRacing(CarRacing):
    """CarRacing-v3 with frames as observations; see `make`."""

    metadata = {"render_modes": [], "render_fps": FPS}

    def __init__(self) -> None:
        super().__init__()
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
        # A world of its own for each episode: nothing can depend on the episodes before
        self.contactListener_keepref = TileListener(len(self.track), self._reached)
        self.world = b2World((0, 0), contactListener=self.contactListener_keepref)
        road = self.world.CreateStaticBody()
        for fixture in self._track.fixtures:
            road.CreateFixture(fixture)
        self.car = FastCar(self.world, *self.track[0][1:4])
        self._simulate()
        return self._draw(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step of 1/50 s. `terminated` with info["lap_finished"] telling which of the two ends
        it was: the lap, or the edge of the playfield; never truncated."""
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
        zoom = 0.1 * SCALE * max(1 - self.t, 0) + ZOOM * SCALE * min(self.t, 1)
        level = 0 if self.t >= 1 else min(round(math.log2(ZOOM * SCALE / zoom)), track_texture.LEVELS - 1)
        scale = track_texture.TEXELS / zoom / (1 << level)
        cos, sin = math.cos(hull.angle) * scale, math.sin(hull.angle) * scale
        x, y = hull.position
        # from a frame's pixel to the window's, turned over top to bottom, to a texel
        ax, ay = cos * _PIXEL_W, sin * _PIXEL_W
        bx, by = sin * _PIXEL_H, -cos * _PIXEL_H
        left, up = 0.5 * _PIXEL_W - WINDOW_W / 2, 0.75 * WINDOW_H - 0.5 * _PIXEL_H
        texel = track_texture.TEXELS / (1 << level)
        cx = (x + PLAYFIELD) * texel + cos * left - sin * up - 0.5
        cy = (y + PLAYFIELD) * texel + sin * left + cos * up - 0.5
        canvas = self._canvas
        road = self._track.texture
        picture = road.levels[level]
        rx, ry = cx - (road.left >> level), cy - (road.top >> level)
        to_texel = np.array([[ax, bx, cx], [ay, by, cy]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        height, width = picture.shape[:2]
        low_x, high_x = rx + 63 * (min(ax, 0) + min(bx, 0)), rx + 63 * (max(ax, 0) + max(bx, 0))
        low_y, high_y = ry + 63 * (min(ay, 0) + min(by, 0)), ry + 63 * (max(ay, 0) + max(by, 0))
        if low_x < 0 or low_y < 0 or high_x > width - 1 or high_y > height - 1:
            field = track_texture.grass().levels[level]
            cv2.warpAffine(field, to_texel, (64, 64), dst=canvas, flags=flags)
        to_texel[0, 2], to_texel[1, 2] = rx, ry
        cv2.warpAffine(
            picture, to_texel, (64, 64), dst=canvas, flags=flags, borderMode=cv2.BORDER_TRANSPARENT
        )
        frame = cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB)
        car_sprite.draw(frame, self.car, zoom)
        return frame
