"""How the window's 1000x800 pixels are shared out among the observation's 96x96.

pygame's smoothscale (filter_shrink_X_SSE2, filter_shrink_Y_SSE2) adds up whole pixels and, where
one of the observation's ends, a part of the pixel there; the rest of it begins the next one.
"""

from __future__ import annotations

import numpy as np
from gymnasium.envs.box2d.car_racing import STATE_H, STATE_W, WINDOW_H, WINDOW_W

from wm.core.car_racing import VISIBLE_ROWS

ONE = 0x4000
"""A whole pixel's weight."""
LANES = 4
"""Numbers of 16 bits in a pixel, of which the last is 0."""


def _schedule(source: int, target: int) -> tuple[np.ndarray, int]:
    """Returns for each of `target` pixels the last one of `source` that it takes, that pixel's
    weight, and the weight that is left of it for the next, int64 (target, 3); and the factor that
    every sum is multiplied by."""
    space = ONE * source // target
    rows, counter = [], space
    for at in range(source):
        if counter > ONE:
            counter -= ONE
        else:
            rest = ONE - counter
            rows.append((at, counter, rest))
            counter = space - rest
    return np.array(rows), 0x4000_0000 // space


_COLUMNS, _X_FACTOR = _schedule(WINDOW_W, STATE_W)
_ROWS, _Y_FACTOR = _schedule(WINDOW_H, STATE_H)
X_FACTOR, Y_FACTOR = np.uint16(_X_FACTOR), np.uint16(_Y_FACTOR)

_LAST = _COLUMNS[:, 0]
_FIRST = np.concatenate([[0], _LAST[:-1] + 1])
_OF = np.searchsorted(_LAST, np.arange(WINDOW_W))

CELLS = STATE_W + 1
"""A row's cells: pixels of the window that end in one of the observation. Number 0 is empty and
lies before the first."""
PLACES = 12
"""Places of a cell for its pixels. The last pixel, which the next cell has a part of, is in the
last place, the others are before it; the first one or two places are not used."""
CELL = (_OF + 1).astype(np.uint32)
"""The cell of each pixel of a row."""
PLACE = (np.arange(WINDOW_W) - _LAST[_OF] + PLACES - 1).astype(np.uint32)
"""The place of each pixel in its cell."""
OPENING = np.concatenate([[0], PLACES - 1 - (_LAST - _FIRST)]).astype(np.uint32)
"""The place of each cell's first pixel."""
MOST = 10
"""The most pixels of a cell before its last."""
TENTH = np.where(OPENING == PLACES - 1 - MOST, np.uint64(2**64 - 1), np.uint64(0))
"""All ones for each cell that has as many, else 0."""
assert set(OPENING[1:].tolist()) == {PLACES - 1 - MOST, PLACES - MOST}

WHOLE, X_TAKEN, X_LEFT = (
    np.repeat(np.concatenate([[0], numbers]).astype(np.uint16), LANES)
    for numbers in (_LAST - _FIRST, _COLUMNS[:, 1], _COLUMNS[:, 2])
)
"""Of each cell, for each lane: its pixels but the last, and the last one's weights in the cell and
in the next."""

Y_ENDS = np.isin(np.arange(WINDOW_H), _ROWS[:, 0])
"""Whether a row of the observation ends with this one of the window, counted from the top."""
Y_TAKEN, Y_LEFT = (np.zeros(WINDOW_H, np.uint16) for _ in range(2))
"""Where one does, the weights of the window's row in it, and in the next."""
Y_TAKEN[Y_ENDS], Y_LEFT[Y_ENDS] = _ROWS[:, 1], _ROWS[:, 2]
HEIGHT = int(_ROWS[VISIBLE_ROWS - 1, 0]) + 1
"""Rows of the window, from the top, that are in a frame."""
LOWEST = WINDOW_H - HEIGHT
"""The first of them, counted from the bottom, as gymnasium draws."""
