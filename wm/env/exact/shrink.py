"""The observation of the window's rows, which come one by one from the top.

Arrays of 384 numbers of 16 bits hold four for each of the observation's columns: a pixel's lanes.
"""

from __future__ import annotations

import numpy as np
from gymnasium.envs.box2d.car_racing import STATE_W

from wm.env.exact.row import OPEN, compiled, inlined
from wm.env.exact.shares import (
    CELLS,
    LANES,
    MOST,
    PLACES,
    TENTH,
    WHOLE,
    X_FACTOR,
    X_LEFT,
    X_TAKEN,
    Y_ENDS,
    Y_FACTOR,
    Y_LEFT,
    Y_TAKEN,
)

WIDTH = LANES * STATE_W
GROUP = 4
"""Cells of which one look says whether any is open."""


@inlined
def shrink_across(
    cells: np.ndarray,
    lanes: np.ndarray,
    pixels: np.ndarray,
    sums: np.ndarray,
    sum_lanes: np.ndarray,
    shrunk: np.ndarray,
) -> None:
    """Fills in `shrunk`, uint16 (384,), with a row of the window (filter_shrink_X): `cells`, uint64
    (97,), and `pixels`, uint64 (97, 12), as `row` has them. The colour of an open cell becomes its
    last pixel's. `sums`, uint64 (97,), is overwritten. `lanes` and `sum_lanes`, uint16 (388,), are
    the memory of `cells` and `sums`.
    """
    for lane in range(WIDTH + LANES):
        sum_lanes[lane] = lanes[lane] * WHOLE[lane]
    for group in range(1, CELLS, GROUP):
        several = np.uint64(0)
        for cell in range(group, group + GROUP):
            several |= cells[cell]
        if several & OPEN:
            for cell in range(group, group + GROUP):
                if cells[cell] == OPEN:
                    _add_up(cells, pixels, sums, cell)
    for lane in range(WIDTH):
        before = _high(_four(lanes[lane]), X_LEFT[lane])
        taken = _high(_four(lanes[lane + LANES]), X_TAKEN[lane + LANES])
        shrunk[lane] = _high(np.uint16(sum_lanes[lane + LANES] + before + taken), X_FACTOR)


@inlined
def shrink_down(shrunk: np.ndarray, down: int, gathered: np.ndarray, line: np.ndarray) -> bool:
    """Adds row number `down` from the top, uint16 (384,), to `gathered`, uint16 (384,); returns
    whether a row of the observation ends with it, which is then in `line`, uint8 (96, 3)
    (filter_shrink_Y)."""
    if not Y_ENDS[down]:
        for lane in range(WIDTH):
            gathered[lane] += shrunk[lane]
        return False
    for lane in range(WIDTH):
        value = _four(shrunk[lane])
        ended = np.uint16(gathered[lane] + _high(value, Y_TAKEN[down]))
        gathered[lane] = _high(value, Y_LEFT[down])
        shrunk[lane] = _high(ended, Y_FACTOR)
    for column in range(STATE_W):
        for channel in range(3):
            line[column, channel] = shrunk[LANES * column + channel]
    return True


@inlined
def _add_up(cells: np.ndarray, pixels: np.ndarray, sums: np.ndarray, cell: int) -> None:
    """Takes an open cell's sum, and its last pixel for its colour."""
    base = PLACES * cell
    total = pixels[base + PLACES - 1 - MOST] & TENTH[cell]
    for place in range(PLACES - MOST, PLACES - 1):
        total += pixels[base + place]
    sums[cell] = total
    cells[cell] = pixels[base + PLACES - 1]


@compiled
def _four(value: np.uint16) -> np.uint16:
    return np.uint16(value << 2)


@compiled
def _high(value: np.uint16, factor: np.uint16) -> np.uint16:
    """Returns the upper half of a product of two numbers of 16 bits (_mm_mulhi_epu16)."""
    return np.uint16((np.uint32(value) * np.uint32(factor)) >> 16)
