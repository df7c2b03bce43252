"""What the pipeline takes for granted about CarRacing-v3: shapes, rewards, telemetry, the road.

A pipeline for another environment replaces this module, `wm/env`, `wm/drive/telemetry.py` and
`wm/exploration/policies.py`; docs/extending.md names what else knows of roads.
"""

from __future__ import annotations

import numpy as np

FRAME_SHAPE = (64, 64, 3)
"""Shape of a frame: rows, columns, RGB; uint8."""
FRAME_SIZE = FRAME_SHAPE[0]
"""Rows of a frame, and columns."""
OBSERVATION_SIZE = 96
"""Rows of CarRacing's own observation, and columns."""
VISIBLE_ROWS = 84
"""Rows of the observation that a frame shows; below them are indicators."""
FRAMES_PER_SECOND = 50
"""Steps of the environment in a second of its own time."""
ACTION_SIZE = 3
"""Length of an action: steering (positive to the right), gas and brake."""
ACTION_LOW, ACTION_HIGH = (-1.0, 0.0, 0.0), (1.0, 1.0, 1.0)
"""The least and the greatest of each of an action's numbers."""
MAX_EPISODE_STEPS = 1000
"""Steps after which gymnasium truncates an episode."""
ZOOM_STEPS = 50
"""Steps for which the camera zooms in at the start of an episode."""
STEP_REWARD = -0.1
"""Reward of every step; each of a track's n tiles pays 1000 / n when it is first reached."""
LAP_REWARD = 1000.0
"""Sum of what all tiles of a track pay."""
OFF_FIELD_REWARD = -100.0
"""Reward of the step that leaves the playfield, which ends the episode."""
REWARD_FLOOR = -1.0
"""Rewards are learned clipped from below. CarRacing pays OFF_FIELD_REWARD once: no frame
announces it, and it would drown the tiles in a squared error; the done head predicts it."""
ROAD_HALF_WIDTH = 40 / 6
"""Distance from the centre line to the edge of the road, in the environment's units of length."""
TELEMETRY = (
    "speed",
    "angular_velocity",
    "wheel_angle",
    "lateral_offset",
    "heading_error",
    "curvature_ahead",
)
"""Names of the values recorded with every frame; `wm.drive.telemetry` gives their units."""
KERB_RED = 0.6
"""Red channel, of 1, above which a pixel is a kerb's or the car's; road and grass are below."""
ROAD_GREEN = 150
"""Green channel, of 255, below which a pixel is the road's; the grass's is above."""


def on_road(telemetry: np.ndarray) -> np.ndarray:
    """Returns whether the car is on the road, bool (N,), from its telemetry, float (N, 6)."""
    return np.abs(telemetry[:, TELEMETRY.index("lateral_offset")]) < ROAD_HALF_WIDTH


def along_road(telemetry: np.ndarray) -> np.ndarray:
    """Returns whether the car is on the road and heads along it, bool (N,), from its telemetry,
    float (N, 6). Elsewhere a frame shows neither the offset nor the heading error."""
    heading_error = telemetry[:, TELEMETRY.index("heading_error")]
    return on_road(telemetry) & (np.abs(heading_error) < np.pi / 2)


def road_mask(frames: np.ndarray) -> np.ndarray:
    """Returns the road's pixels, bool (N, 64, 64), of frames, uint8 (N, 64, 64, 3).

    Road is (100..105,) * 3, grass (100, 202..228, 100), beyond the field black, kerbs red and
    white, the car red on black. A road pixel is grey (its channels at most 50 apart: half way to
    grass) and of middle brightness (70 is above half way to black, even where black meets grass;
    170 is below half way to white).
    """
    low, high = frames.min(-1), frames.max(-1)
    return (high - low <= 50) & (low >= 70) & (high <= 170)
