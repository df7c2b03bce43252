"""CarRacing-v3 as gymnasium makes it, its observations brought to 64x64."""

from __future__ import annotations

import cv2
import gymnasium
import numpy as np
from gymnasium import spaces

from wm.core.car_racing import FRAME_SHAPE, OBSERVATION_SIZE, VISIBLE_ROWS


def make(render_mode: str | None = None) -> gymnasium.Env:
    """Returns gymnasium's CarRacing-v3, unmodified, its observation through `preprocess`: a frame,
    uint8 (64, 64, 3) RGB. It truncates after 1,000 steps; `reset(seed=)` defines the track.
    `render_mode` is gymnasium's, for people to see."""
    cv2.setNumThreads(1)  # parallelism is across processes
    env = gymnasium.make("CarRacing-v3", render_mode=render_mode)
    space = spaces.Box(0, 255, FRAME_SHAPE, np.uint8)
    return gymnasium.wrappers.TransformObservation(env, preprocess, space)


def preprocess(observation: np.ndarray) -> np.ndarray:
    """Returns the frame, uint8 (64, 64, 3), of CarRacing's observation, uint8 (96, 96, 3): the
    indicator bar is cut off, the rest resized by area."""
    assert observation.shape == (OBSERVATION_SIZE, OBSERVATION_SIZE, 3), observation.shape
    assert observation.dtype == np.uint8, observation.dtype
    return cv2.resize(observation[:VISIBLE_ROWS], FRAME_SHAPE[:2], interpolation=cv2.INTER_AREA)
