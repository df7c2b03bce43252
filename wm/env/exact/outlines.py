"""The polygons of a frame, made ready to be drawn a few rows at a time."""

from __future__ import annotations

import numpy as np
from gymnasium.envs.box2d.car_racing import WINDOW_H, WINDOW_W

from wm.env.exact.lines import EDGE, draw_edge, prepare_edge
from wm.env.exact.polygons import CORNERS, cross, fill
from wm.env.exact.row import allocating, inlined, span
from wm.env.exact.shares import LOWEST


@allocating
def outline(
    corners: np.ndarray, reach: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns of the first `count` polygons, int64 (P, 4, 2) in the window's pixels, the edges,
    int64 (count, 4, 9); the spans of all rows that are seen, one polygon's after the other's, int64
    (N, 2); where each one's begin, int64 (count + 1,); and whether they are all that is filled,
    bool (count,): where some row has several spans, they are empty.

    `reach`, int64 (P, 2), holds the polygons' lowest and highest rows, and is cut to what is seen.
    """
    rows = 0
    for number in range(count):
        reach[number, 0] = max(reach[number, 0], LOWEST)
        reach[number, 1] = min(reach[number, 1], WINDOW_H - 1)
        rows += reach[number, 1] - reach[number, 0] + 1
    edges = np.empty((count, CORNERS, EDGE), np.int64)
    spans = np.empty((rows, 2), np.int64)
    starts, single = np.empty(count + 1, np.int64), np.empty(count, np.bool_)
    crossed = np.empty(WINDOW_H, np.uint8)
    rows = 0
    for number in range(count):
        for corner in range(CORNERS):
            after = corner + 1 if corner + 1 < CORNERS else 0
            prepare_edge(
                edges[number, corner],
                corners[number, corner, 0], corners[number, corner, 1],
                corners[number, after, 0], corners[number, after, 1],
            )  # fmt: skip
        low, high = reach[number]
        starts[number] = rows
        rows += high - low + 1
        inside = spans[starts[number] : rows]
        single[number] = cross(corners[number], low, high, crossed, inside)
        if not single[number]:
            inside[:, 0], inside[:, 1] = WINDOW_W, -1
    starts[count] = rows
    return edges, spans, starts, single


@inlined
def draw_polygon(
    cells: np.ndarray,
    pixels: np.ndarray,
    base: int,
    low: int,
    high: int,
    edges: np.ndarray,
    spans: np.ndarray,
    single: bool,
    corners: np.ndarray,
    crossings: np.ndarray,
    color: np.uint64,
) -> None:
    """Draws the window's rows from `low` to `high` of a polygon, int64 (4, 2): its edges, then its
    inside, which is `spans`, int64 (rows, 2), or unless it is `single` what `fill` finds. Row
    `base` is the first one of `cells` and `pixels`."""
    for corner in range(CORNERS):
        draw_edge(cells, pixels, base, low, high, edges[corner], spans, color)
    for y in range(low, high + 1):
        if single:
            span(cells, pixels, y - base, spans[y - low, 0], spans[y - low, 1], color)
        else:
            fill(cells, pixels, base, y, corners, crossings, color)
