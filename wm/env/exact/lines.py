"""Anti-aliased lines, a few rows at a time (SDL_gfxPrimitives.c: _aalineColor without endpoint).

An edge is int64 (9,): its kind; where it starts, x and y, at the lower end; its length along the
longer side; the direction of x; the slope, in 1/2**32 pixels a step; the pixel that is drawn in
full, x and y; and the rows that it spans beside the first.
"""

from __future__ import annotations

import numpy as np
from gymnasium.envs.box2d.car_racing import WINDOW_H, WINDOW_W

from wm.env.exact.row import blend, compiled, inlined, span

NOTHING, VERTICAL, HORIZONTAL, STEEP, FLAT = range(5)
"""Kinds of an edge."""
EDGE = 9
"""Numbers of an edge."""


@compiled
def prepare_edge(edge: np.ndarray, x1: int, y1: int, x2: int, y2: int) -> None:
    """Fills in `edge` with the line between two points, as far as it is in the window."""
    edge[0] = NOTHING
    seen, x1, y1, x2, y2 = _clip(x1, y1, x2, y2)
    if not seen:
        return
    edge[6], edge[7] = x1, y1  # the first pixel, in full colour
    if y1 > y2:
        x1, y1, x2, y2 = x2, y2, x1, y1
    dx, dy = x2 - x1, y2 - y1
    edge[1], edge[2], edge[8] = x1, y1, dy
    if dx == 0:
        edge[0], edge[3] = VERTICAL, dy
    elif dy == 0:
        edge[0], edge[3] = HORIZONTAL, dx
    else:
        edge[4] = 1 if dx > 0 else -1
        dx = abs(dx)
        if dy > dx:
            edge[0], edge[3], edge[5] = STEEP, dy, ((dx << 16) // dy) << 16
        else:
            edge[0], edge[3], edge[5] = FLAT, dx, ((dy << 16) // dx) << 16


@inlined
def draw_edge(
    cells: np.ndarray,
    pixels: np.ndarray,
    base: int,
    low: int,
    high: int,
    edge: np.ndarray,
    spans: np.ndarray,
    color: np.uint64,
) -> None:
    """Draws what an edge has in the window's rows from `low` to `high`; row `base` is the first one
    of `cells` and `pixels`. `spans`, int64 (rows, 2), is what is painted over in each of the rows:
    blends there are left out."""
    kind, x0, y0, length = edge[0], edge[1], edge[2], edge[3]
    if kind == NOTHING or y0 > high or y0 + edge[8] < low:
        return
    if kind == HORIZONTAL:
        span(cells, pixels, y0 - base, x0, x0 + length, color)
        return
    if kind == VERTICAL:
        for y in range(max(low, y0), min(high, y0 + length) + 1):
            span(cells, pixels, y - base, x0, x0, color)
        return
    if low <= edge[7] <= high:
        span(cells, pixels, edge[7] - base, edge[6], edge[6], color)
    direction, slope = edge[4], edge[5]
    if kind == STEEP:
        for at in range(max(low - y0, 1), min(high - y0, length - 1) + 1):
            error = at * slope
            x, weight = x0 + direction * (error >> 32), (error >> 24) & 255
            row = y0 + at - low
            if _is_left(spans, row, x):
                blend(cells, pixels, low - base + row, x, color, 255 - weight)
            x += direction
            if _is_left(spans, row, x):
                blend(cells, pixels, low - base + row, x, color, weight)
        return
    # the steps at which the line's own row is the one before `low`, or one to `high`
    start = max(((low - 1 - y0 << 32) + slope - 1) // slope, 1)
    end = min(((high + 1 - y0 << 32) + slope - 1) // slope, length)
    for at in range(start, end):
        error = at * slope
        row, weight = y0 - low + (error >> 32), (error >> 24) & 255
        x = x0 + direction * at
        if row >= 0 and _is_left(spans, row, x):
            blend(cells, pixels, low - base + row, x, color, 255 - weight)
        row += 1
        if row <= high - low and _is_left(spans, row, x):
            blend(cells, pixels, low - base + row, x, color, weight)


@inlined
def _is_left(spans: np.ndarray, row: int, x: int) -> bool:
    """Returns whether a pixel is not painted over."""
    index = np.uint32(row)
    return (x < spans[index, 0]) | (x > spans[index, 1])


@compiled
def _clip(x1: int, y1: int, x2: int, y2: int) -> tuple[bool, int, int, int, int]:
    """_clipLine: returns whether a line is in the window, and its ends there, perhaps swapped."""
    right, bottom = WINDOW_W - 1, WINDOW_H - 1
    while True:
        left1, right1, top1, bottom1 = x1 < 0, x1 > right, y1 < 0, y1 > bottom
        left2, right2, top2, bottom2 = x2 < 0, x2 > right, y2 < 0, y2 > bottom
        inside1 = not (left1 or right1 or top1 or bottom1)
        if inside1 and not (left2 or right2 or top2 or bottom2):
            return True, x1, y1, x2, y2
        if (left1 and left2) or (right1 and right2) or (top1 and top2) or (bottom1 and bottom2):
            return False, x1, y1, x2, y2
        if inside1:
            x1, y1, x2, y2 = x2, y2, x1, y1
            left1, right1, top1, bottom1 = left2, right2, top2, bottom2
        slope = np.float32(1.0)
        if x2 != x1:
            slope = np.float32(y2 - y1) / np.float32(x2 - x1)
        if left1:
            y1 += int(np.float32(0 - x1) * slope)
            x1 = 0
        elif right1:
            y1 += int(np.float32(right - x1) * slope)
            x1 = right
        elif bottom1:
            if x2 != x1:
                x1 += int(np.float32(bottom - y1) / slope)
            y1 = bottom
        else:
            if x2 != x1:
                x1 += int(np.float32(0 - y1) / slope)
            y1 = 0
