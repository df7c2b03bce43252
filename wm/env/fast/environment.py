"""CarRacing-v3 with gymnasium's physics and a renderer that is some sixty times as fast.

The track does not change within an episode: it is rasterised once in world coordinates, and a frame
is one affine warp of that picture with the car drawn on it.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import gymnasium
import numpy as np
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
from gymnasium.error import InvalidAction

from wm.core.car_racing import (
    ACTION_SIZE,
    FRAME_SHAPE,
    FRAME_SIZE,
    LAP_REWARD,
    OBSERVATION_SIZE,
    OFF_FIELD_REWARD,
    STEP_REWARD,
    VISIBLE_ROWS,
)
from wm.env.fast import car_sprite
from wm.env.fast.car_physics import FastCar, TileListener, World
from wm.env.fast.track import Track, generate_track
from wm.env.fast.track_texture import LEVELS, TEXELS, grass

_PIXEL_W = WINDOW_W / FRAME_SIZE  # of the window, in one pixel of a frame
_PIXEL_H = WINDOW_H * VISIBLE_ROWS / OBSERVATION_SIZE / FRAME_SIZE
_LEFT = 0.5 * _PIXEL_W - WINDOW_W / 2  # from the hull to the first pixel's centre, in the window
_UP = WINDOW_H - WINDOW_H / 4 - 0.5 * _PIXEL_H
_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def make() -> FastCarRacing:
    """Returns CarRacing-v3 with frames, uint8 (64, 64, 3) RGB, as observations.

    Physics, rewards and tracks are gymnasium's bit for bit; pixels are nearly the official ones
    (`wm.env.official`). There is no time limit and no `render`. `reset(seed=)` defines the track.
    """
    cv2.setNumThreads(1)  # parallelism is across processes
    return FastCarRacing()


class FastCarRacing(CarRacing):
    """CarRacing-v3 with frames, uint8 (64, 64, 3), as observations; `make` says what it keeps."""

    car: Any  # a FastCar from the first reset on

    def __init__(self) -> None:
        super().__init__()
        self.metadata = {"render_modes": [], "render_fps": FPS}
        self.observation_space = spaces.Box(0, 255, FRAME_SHAPE, np.uint8)
        self._track: Track
        self._canvas = np.empty((FRAME_SIZE, FRAME_SIZE, 4), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode on the track that follows from `seed`; returns its first frame, uint8
        (64, 64, 3), and an empty dict."""
        gymnasium.Env.reset(self, seed=seed)
        self._track = generate_track(self.np_random)
        self.track = self._track.tiles
        self.reward = self.prev_reward = 0.0
        self.tile_visited_count = 0
        self.t = 0.0
        self.new_lap = False
        self._build()
        self._simulate()
        return self._draw(), {}

    def step(  # type: ignore[override]
        self, action: np.ndarray
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Takes a step of 1/50 s; returns (frame, reward, terminated, truncated, info).

        `action` is float32 (3,). When `terminated`, info["lap_finished"] tells the lap's end from
        the playfield's edge; `truncated` is always False. Raises InvalidAction for what is not
        three finite numbers, which Box2D would take in and never recover from.
        """
        if action.shape != (ACTION_SIZE,) or not math.isfinite(sum(action.tolist())):
            raise InvalidAction(f"an action is 3 finite numbers, not {action}")
        steer, gas, brake = action.tolist()
        self.car.control(-steer, gas, brake)
        self._simulate()
        self.reward += STEP_REWARD
        reward = self.reward - self.prev_reward
        self.prev_reward = self.reward
        terminated, info = False, {}
        if self.new_lap or self.tile_visited_count == len(self.track):
            terminated, info = True, {"lap_finished": True}
        x, y = self.car.hull.position
        if abs(x) > PLAYFIELD or abs(y) > PLAYFIELD:
            terminated, info, reward = True, {"lap_finished": False}, OFF_FIELD_REWARD
        return self._draw(), reward, terminated, False, info

    def close(self) -> None:
        """Does nothing: there is no window to close."""

    def _build(self) -> None:
        """Makes the episode's world, with the road and the car in it."""
        if self.car is not None:
            self.car.destroy()  # or its wheels, which refer to themselves, would leak
        # A world of its own for each episode: nothing can depend on the episodes before
        self.contactListener_keepref = TileListener(len(self.track), self._reached)
        self.world = World((0, 0), contactListener=self.contactListener_keepref)
        road = self.world.CreateStaticBody()
        for fixture in self._track.fixtures:
            road.CreateFixture(fixture)
        self.car = FastCar(self.world, *self.track[0][1:4])

    def _simulate(self) -> None:
        self.car.step(1.0 / FPS)
        self.world.Step(1.0 / FPS, 6 * 30, 2 * 30)
        self.t += 1.0 / FPS

    def _reached(self, tile: int) -> None:
        self.reward += LAP_REWARD / len(self.track)
        self.tile_visited_count += 1
        if tile == 0 and self.tile_visited_count / len(self.track) > self.lap_complete_percent:
            self.new_lap = True

    def _draw(self) -> np.ndarray:
        """Returns the frame, a fresh array."""
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
            cv2.warpAffine(grass().levels[level], view, (FRAME_SIZE, FRAME_SIZE), canvas, _FLAGS)
        view[:, 2] = rx, ry
        cv2.warpAffine(
            picture, view, (FRAME_SIZE, FRAME_SIZE), canvas, _FLAGS, cv2.BORDER_TRANSPARENT
        )
        frame = cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB)
        car_sprite.draw(frame, self.car, zoom)
        return frame
