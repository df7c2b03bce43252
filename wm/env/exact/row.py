"""A row of the window: pixels that are blended and summed as single integers.

A pixel is an integer of 64 bits with 16 for each of red, green and blue: a blend of two, or a sum
of up to 257, is one operation, and no part reaches into the next.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from gymnasium.envs.box2d import car_racing as official
from gymnasium.envs.box2d.car_racing import WINDOW_W
from numba import njit

from wm.core import car_racing
from wm.env.exact.shares import CELL

F = TypeVar("F", bound=Callable[..., Any])
SOURCES = [*Path(__file__).parent.glob("*.py"), Path(car_racing.__file__), Path(official.__file__)]
"""What the compiled code is made from."""


def compiled(function: F) -> F:
    """Compiles a function when it is first called, and keeps the result on disk."""
    dispatcher: Any = njit(cache=True, error_model="numpy")(function)
    # numba sees an edit of a function's own file, not of the files of what it calls
    newest = max(file.stat().st_mtime for file in SOURCES)
    for kept in Path(dispatcher.stats.cache_path).glob("*.nbi"):
        with contextlib.suppress(OSError):  # gone meanwhile, or not ours to remove
            if kept.stat().st_mtime < newest:
                kept.unlink()
    return dispatcher


CHANNELS = 0x00FF_00FF_00FF
"""The low bytes of a pixel's three parts."""


def pixel(red: int, green: int, blue: int) -> np.uint64:
    """Returns a colour, each part in [0, 255], as a pixel."""
    return np.uint64(red | green << 16 | blue << 32)


@compiled
def blend(row: np.ndarray, touched: np.ndarray, x: int, color: np.uint64, weight: int) -> None:
    """Draws `color` with a weight in [0, 255] over the pixel at `x`, which is in the window, and
    notes in `touched` the cell it is in (pixelColorWeightNolock)."""
    alpha = np.uint64((255 * weight) >> 8)
    mixed = row[x] * (np.uint64(256) - alpha) + color * alpha
    row[x] = (mixed >> np.uint64(8)) & np.uint64(CHANNELS)
    touched[CELL[x]] = True


@compiled
def span(row: np.ndarray, touched: np.ndarray, x1: int, x2: int, color: np.uint64) -> None:
    """Draws the pixels from `x1` to `x2`, in either order, as far as they are in the window, and
    notes in `touched` the cells that they end in (hlineColor, drawhorzlineclip)."""
    if x1 > x2:
        x1, x2 = x2, x1
    if x2 < 0 or x1 >= WINDOW_W:
        return
    x1, x2 = max(x1, 0), min(x2, WINDOW_W - 1)
    for x in range(x1, x2 + 1):
        row[x] = color
    touched[CELL[x1]] = True
    touched[CELL[x2]] = True
