"""Rows of the window: pixels that are blended and summed as single integers.

A pixel is an integer of 64 bits with 16 for each of red, green and blue: a blend of two, or a sum
of up to 257, is one operation, and no part reaches into the next.

A row is 96 cells: the pixels that end in the same one of the observation's. Most are of one colour,
which is in `cells`, uint64 (97 rows,). Those of several are open: their pixels are in `pixels`,
uint64 (12 * 97 rows,). `shares` says where in a cell each pixel is. The first cell of a row is
empty.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from gymnasium.envs.box2d import car_racing as official
from gymnasium.envs.box2d.car_racing import WINDOW_W
from numba import njit

from wm.core import car_racing
from wm.env.exact.shares import CELL, CELLS, OPENING, PLACE, PLACES

F = TypeVar("F", bound=Callable[..., Any])
SOURCES = [
    *sorted(Path(__file__).parent.glob("[!.]*.py")),  # an editor's are hidden
    Path(car_racing.__file__),
    Path(official.__file__),
]
"""What the compiled code is made from."""
VERSION = hashlib.sha256(b"".join(file.read_bytes() for file in SOURCES)).hexdigest()[:16]


def compiled(function: F, allocates: bool = False, inline: bool = False) -> F:
    """Compiles a function when it is first called, and keeps the result on disk, where there is a
    folder for it that can be written.

    Only one that `allocates` arrays counts references to them: atomic operations, which took half
    of the time. Its callers must be such, too. One to `inline` has no call of its own, which would
    pass seven numbers for each array.
    """
    compiler: Any = njit  # its types leave out _nrt: whether references are counted
    options = {"error_model": "numpy", "_nrt": allocates, "forceinline": inline}
    try:
        dispatcher = compiler(**options, cache=True)(function)
    except RuntimeError:  # neither beside the code nor in the home
        return compiler(**options)(function)
    if not forget_others(Path(dispatcher.stats.cache_path)):
        return compiler(**options)(function)
    return dispatcher


@cache
def forget_others(folder: Path) -> bool:
    """Removes what a folder keeps of code that was compiled from other sources: numba sees an edit
    of a function's own file, not of the files of what it calls. A process that began before an edit
    may still add to the folder: none should run on. Returns whether nothing of it is left."""
    mark = folder / f"sources-{VERSION}"
    if mark.exists():
        return True
    try:
        for old in [*folder.glob("*.nbi"), *folder.glob("sources-*")]:
            old.unlink(missing_ok=True)
        mark.touch()
    except OSError:  # another user's
        return False
    return True


allocating = partial(compiled, allocates=True)
inlined = partial(compiled, inline=True)

CHANNELS = 0x00FF_00FF_00FF
"""The low bytes of a pixel's three parts."""
OPEN = np.uint64(1 << 48)
"""Stands for the colour of a cell that has several."""


def pixel(red: int, green: int, blue: int) -> np.uint64:
    """Returns a colour, each part in [0, 255], as a pixel."""
    return np.uint64(red | green << 16 | blue << 32)


@inlined
def blend(
    cells: np.ndarray, pixels: np.ndarray, y: int, x: int, color: np.uint64, weight: int
) -> None:
    """Draws `color` with a weight in [0, 255] over the pixel at `x`, which is in the window, of row
    `y` (pixelColorWeightNolock)."""
    cell = np.uint32(y * CELLS + CELL[x])
    if cells[cell] != OPEN:
        _open(cells, pixels, cell)
    place = PLACES * cell + PLACE[x]
    alpha = np.uint64((255 * weight) >> 8)
    below = pixels[place]
    # below * (256 - alpha) + color * alpha, with one product: equal modulo 2**64
    mixed = (below << np.uint64(8)) + (color - below) * alpha
    pixels[place] = (mixed >> np.uint64(8)) & np.uint64(CHANNELS)


@inlined
def span(cells: np.ndarray, pixels: np.ndarray, y: int, x1: int, x2: int, color: np.uint64) -> None:
    """Draws the pixels of row `y` from `x1` to `x2`, in either order, as far as they are in the
    window (hlineColor, drawhorzlineclip)."""
    if x1 > x2:
        x1, x2 = x2, x1
    if x2 < 0 or x1 >= WINDOW_W:
        return
    x1, x2 = max(x1, 0), min(x2, WINDOW_W - 1)
    first, last = np.uint32(y * CELLS + CELL[x1]), np.uint32(y * CELLS + CELL[x2])
    opens, ends = PLACE[x1] > OPENING[CELL[x1]], PLACE[x2] < PLACES - 1
    if first == last:
        if opens or ends:
            _paint(cells, pixels, first, PLACE[x1], PLACE[x2], color)
        else:
            cells[first] = color
        return
    if opens:
        _paint(cells, pixels, first, PLACE[x1], PLACES - 1, color)
    if ends:
        _paint(cells, pixels, last, 0, PLACE[x2], color)
    for cell in range(first + opens, last + 1 - ends):
        cells[np.uint32(cell)] = color


@inlined
def _open(cells: np.ndarray, pixels: np.ndarray, cell: np.uint32) -> None:
    """Gives each pixel of a cell the cell's colour, so that each can be drawn by itself."""
    color = cells[cell]
    base = np.uint32(PLACES * cell)
    for place in range(PLACES):
        pixels[base + place] = color
    cells[cell] = OPEN


@inlined
def _paint(
    cells: np.ndarray, pixels: np.ndarray, cell: np.uint32, start: int, end: int, color: np.uint64
) -> None:
    """Draws the pixels of a cell in the places from `start` to `end`."""
    if cells[cell] != OPEN:
        _open(cells, pixels, cell)
    base = np.uint32(PLACES * cell)
    for place in range(start, end + 1):
        pixels[base + place] = color
