"""The observation of the window's rows, which come one by one from the top.

Arrays of 384 numbers of 16 bits hold four for each of the observation's columns: a pixel's lanes.
"""

from __future__ import annotations

import numpy as np
from gymnasium.envs.box2d.car_racing import STATE_W

from wm.env.exact.row import compiled
from wm.env.exact.shares import (
    FIRST,
    LANES,
    LAST,
    X_FACTOR,
    X_LEFT,
    X_TAKEN,
    Y_ENDS,
    Y_FACTOR,
    Y_LEFT,
    Y_TAKEN,
)

WIDTH = LANES * STATE_W


@compiled
def shrink_across(
    row: np.ndarray,
    touched: np.ndarray,
    sums: np.ndarray,
    lasts: np.ndarray,
    carried: np.ndarray,
    shrunk: np.ndarray,
) -> None:
    """Fills in `shrunk`, uint16 (384,), with a row of the window (filter_shrink_X).

    `row` is uint64 (1000,); a cell that is not in `touched`, bool (96,), is of one colour. `sums`
    and `lasts`, uint64 (96,), and `carried`, uint16 (388,), are overwritten but for the first four
    of `carried`, which are 0.
    """
    for cell in range(STATE_W):
        first, last = FIRST[cell], LAST[cell]
        if touched[cell]:
            total = np.uint64(0)
            for x in range(first, last):
                total += row[x]
            sums[cell] = total
        else:
            sums[cell] = row[first] * np.uint64(last - first)
        lasts[cell] = row[last]
    sum_lanes, last_lanes = sums.view(np.uint16), lasts.view(np.uint16)
    for lane in range(WIDTH):
        carried[lane + LANES] = _high(_four(last_lanes[lane]), X_LEFT[lane])
    for lane in range(WIDTH):
        taken = _high(_four(last_lanes[lane]), X_TAKEN[lane])
        shrunk[lane] = _high(np.uint16(sum_lanes[lane] + carried[lane] + taken), X_FACTOR)


@compiled
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


@compiled
def _four(value: np.uint16) -> np.uint16:
    return np.uint16(value << 2)


@compiled
def _high(value: np.uint16, factor: np.uint16) -> np.uint16:
    """Returns the upper half of a product of two numbers of 16 bits (_mm_mulhi_epu16)."""
    return np.uint16((np.uint32(value) * np.uint32(factor)) >> 16)
