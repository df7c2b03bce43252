"""The official path's `preprocess`, operation for operation, in less than half the time."""

from __future__ import annotations

import math

import numpy as np

from wm.core.car_racing import FRAME_SHAPE, FRAME_SIZE, OBSERVATION_SIZE, VISIBLE_ROWS
from wm.env.exact.row import compiled

CHANNELS = 3


def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns which of `source` pixels each of `target` ones is made of, uint32 (target, taps), and
    their weights, float32 (target, taps), in OpenCV's order (computeResizeAreaTab). Weights of 0
    fill up: they add nothing."""
    scale = 1.0 / (target / source)
    rows = []
    for at in range(target):
        start = at * scale
        end = start + scale
        width = min(scale, source - start)
        last = min(math.floor(end), source - 1)
        first = min(math.ceil(start), last)
        row = [(pixel, 1.0 / width) for pixel in range(first, last)]
        if first - start > 1e-3:
            row.insert(0, (first - 1, (first - start) / width))
        if end - last > 1e-3:
            row.append((last, min(end - last, 1.0, width) / width))
        rows.append(row)
    most = max(map(len, rows))
    full = [row + [(row[-1][0], 0.0)] * (most - len(row)) for row in rows]
    pixels, weights = np.moveaxis(np.array(full), 2, 0)
    return pixels.astype(np.uint32), weights.astype(np.float32)


_COLUMNS, _COLUMN_WEIGHTS = _taps(OBSERVATION_SIZE, FRAME_SIZE)
_ROWS, _ROW_WEIGHTS = _taps(VISIBLE_ROWS, FRAME_SIZE)
assert _COLUMNS.shape[1] == 2


def preprocess(observation: np.ndarray) -> np.ndarray:
    """Returns the frame, uint8 (64, 64, 3), of an observation, uint8 (96, 96, 3), as
    `wm.env.official.preprocess` does."""
    frame = np.empty(FRAME_SHAPE, np.uint8)
    across = np.empty((VISIBLE_ROWS, FRAME_SIZE * CHANNELS), np.float32)
    _resize(observation.reshape(OBSERVATION_SIZE, -1), across, frame.reshape(FRAME_SIZE, -1))
    return frame


@compiled
def _resize(observation: np.ndarray, across: np.ndarray, frame: np.ndarray) -> None:
    """Fills in `frame`, uint8 (64, 192), from `observation`, uint8 (96, 288). `across`, float32
    (84, 192), is overwritten (ResizeArea_Invoker)."""
    for row in range(VISIBLE_ROWS):
        for column in range(FRAME_SIZE):
            one, other = _COLUMNS[column, 0] * CHANNELS, _COLUMNS[column, 1] * CHANNELS
            for channel in range(CHANNELS):
                across[row, column * CHANNELS + channel] = (
                    np.float32(observation[row, one + channel]) * _COLUMN_WEIGHTS[column, 0]
                    + np.float32(observation[row, other + channel]) * _COLUMN_WEIGHTS[column, 1]
                )
    for row in range(FRAME_SIZE):
        for number in range(FRAME_SIZE * CHANNELS):
            total = np.float32(0)
            for tap in range(_ROWS.shape[1]):
                total += across[_ROWS[row, tap], number] * _ROW_WEIGHTS[row, tap]
            frame[row, number] = np.uint8(np.int32(np.rint(total)))
