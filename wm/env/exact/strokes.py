"""What is drawn into each row of the window, in order: edges, spans, and the rest of a polygon."""

from __future__ import annotations

import numpy as np
from gymnasium.envs.box2d.car_racing import WINDOW_H

from wm.env.exact.lines import NOTHING, prepare_edge
from wm.env.exact.polygons import CORNERS, cross, to_pixel
from wm.env.exact.row import compiled
from wm.env.exact.shares import LOWEST

SPAN, FILL = -1, -2
"""Kinds of a stroke, beside the number of an edge."""


@compiled
def plan(
    corners: np.ndarray, edges: np.ndarray, reach: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns `starts`, int64 (801,), and `strokes`, int32 (N, 4), of which row y has those from
    starts[y] to starts[y + 1]. A stroke is an edge's number, SPAN or FILL; a polygon's number; and,
    of a span, the two ends.

    `corners`, int64 (P, 4, 2), are polygons in the window's pixels, of which the first `count` are
    drawn, one over the other; `reach`, int64 (P, 2), their lowest and highest rows, which are cut
    to those that are seen; `edges`, int64 (4 P, 9), is filled in.
    """
    starts = np.zeros(WINDOW_H + 2, np.int64)  # at first, how much more each row has
    rows = np.empty((CORNERS * count, 2), np.int64)
    for number in range(count):
        for corner in range(CORNERS):
            after = corner + 1 if corner + 1 < CORNERS else 0
            edge = edges[CORNERS * number + corner]
            prepare_edge(
                edge,
                corners[number, corner, 0], corners[number, corner, 1],
                corners[number, after, 0], corners[number, after, 1],
            )  # fmt: skip
            first, last = 1, 0
            if edge[0] != NOTHING:
                first, last = edge[2], edge[2] + edge[8]
            _count(starts, rows[CORNERS * number + corner], first, last)
        _count(starts, reach[number], reach[number, 0], reach[number, 1])
    more = 0
    total = 0
    for y in range(WINDOW_H + 1):
        more += starts[y]
        starts[y] = total
        total += more
    strokes = np.empty((total, 4), np.int32)
    ends = np.empty(WINDOW_H + 1, np.int64)
    for y in range(WINDOW_H + 1):
        ends[y] = starts[y]
    crossed = np.empty(WINDOW_H, np.int32)
    crossings = np.empty((WINDOW_H, 2), np.int64)
    for number in range(count):
        for corner in range(CORNERS):
            first, last = rows[CORNERS * number + corner]
            for y in range(first, last + 1):
                stroke = strokes[ends[y]]
                stroke[0], stroke[1] = CORNERS * number + corner, number
                ends[y] += 1
        first, last = reach[number]
        simple = cross(corners[number], first, last, crossed, crossings)
        for y in range(first, last + 1):
            stroke = strokes[ends[y]]
            stroke[1] = number
            if simple:
                one, other = crossings[y]
                if one > other:
                    one, other = other, one
                stroke[0], stroke[2], stroke[3] = SPAN, to_pixel(one + 1), to_pixel(other - 1)
            else:
                stroke[0] = FILL
            ends[y] += 1
    return starts, strokes


@compiled
def _count(starts: np.ndarray, rows: np.ndarray, first: int, last: int) -> None:
    """Counts a stroke in each row from `first` to `last` that is seen; notes in `rows` which."""
    first, last = max(first, LOWEST), min(last, WINDOW_H - 1)
    rows[0], rows[1] = first, last
    if first <= last:
        starts[first] += 1
        starts[last + 1] -= 1
