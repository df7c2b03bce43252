"""The insides of polygons, a row at a time."""

from __future__ import annotations

import numpy as np

from wm.env.exact.row import compiled, inlined, span

CORNERS = 4
"""Of every polygon but the car's."""
CAR_CORNERS = 8
"""The most that one of the car's polygons has."""


@compiled
def cross(
    corners: np.ndarray, first: int, last: int, crossed: np.ndarray, spans: np.ndarray
) -> bool:
    """Finds what `fill` would draw of a polygon, int64 (4, 2), in each row from `first` to `last`;
    returns whether it is a single span in each. `spans`, int64 (rows, 2), takes its ends."""
    rows = last - first + 1
    for row in range(rows):
        crossed[row] = 0
    highest = max(corners[0, 1], corners[1, 1], corners[2, 1], corners[3, 1])
    for i in range(CORNERS):
        x1, y1, x2, y2 = _edge(corners, i, CORNERS)
        if y1 == y2:
            continue
        rise, run = y2 - y1, x2 - x1
        low = max(y1, first)
        whole, rest = (65536 * (low - y1)) // rise, (65536 * (low - y1)) % rise
        whole_step, rest_step = 65536 // rise, 65536 % rise
        for row in range(low - first, min(y2 if y2 == highest else y2 - 1, last) + 1 - first):
            if crossed[row] == 2:
                return False
            spans[row, crossed[row]] = whole * run + 65536 * x1
            crossed[row] += 1
            whole += whole_step
            rest += rest_step
            if rest >= rise:
                whole += 1
                rest -= rise
    for row in range(rows):
        if crossed[row] != 2:
            return False
        one, other = spans[row, 0], spans[row, 1]
        spans[row, 0] = to_pixel(min(one, other) + 1)
        spans[row, 1] = to_pixel(max(one, other) - 1)
    return True


@compiled
def fill(
    cells: np.ndarray,
    pixels: np.ndarray,
    base: int,
    y: int,
    corners: np.ndarray,
    crossings: np.ndarray,
    color: np.uint64,
) -> None:
    """Fills row `y` of a polygon, int64 (4, 2), however many of its edges cross it
    (filledPolygonColorMT). `crossings`, int64 (8,), is overwritten."""
    highest = max(corners[0, 1], corners[1, 1], corners[2, 1], corners[3, 1])
    found = 0
    for i in range(CORNERS):
        x1, y1, x2, y2 = _edge(corners, i, CORNERS)
        if _is_crossed(y, y1, y2, highest):
            crossing = ((65536 * (y - y1)) // (y2 - y1)) * (x2 - x1) + 65536 * x1
            _insert(crossings, found, crossing)
            found += 1
    for i in range(0, found, 2):
        span(
            cells,
            pixels,
            y - base,
            to_pixel(crossings[i] + 1),
            to_pixel(crossings[i + 1] - 1),
            color,
        )


@compiled
def to_pixel(crossing: int) -> int:
    """Returns the pixel of a place in 1/65536 pixels, to the nearest."""
    return (crossing >> 16) + ((crossing & 32768) >> 15)


@compiled
def fill_part(
    cells: np.ndarray,
    pixels: np.ndarray,
    bottom: int,
    top: int,
    corners: np.ndarray,
    count: int,
    crossings: np.ndarray,
    color: np.uint64,
) -> None:
    """Fills the window's rows from `bottom`, the first one of `cells` and `pixels`, to `top` of a
    part of the car, int64 (8, 2), of `count` corners (draw.c: draw_fillpoly). `crossings`, int64
    (8,), is overwritten."""
    lowest = highest = corners[0, 1]
    left = right = corners[0, 0]
    for i in range(1, count):
        lowest, highest = min(lowest, corners[i, 1]), max(highest, corners[i, 1])
        left, right = min(left, corners[i, 0]), max(right, corners[i, 0])
    if lowest == highest:
        if bottom <= lowest <= top:
            span(cells, pixels, lowest - bottom, left, right, color)
        return
    for y in range(max(lowest, bottom), min(highest, top) + 1):
        found = 0
        for i in range(count):
            x1, y1, x2, y2 = _edge(corners, i, count)
            if _is_crossed(y, y1, y2, highest):
                crossing = np.float32((y - y1) * (x2 - x1)) / np.float32(y2 - y1)
                whole = np.floor(crossing) if found % 2 == 0 else np.ceil(crossing)
                _insert(crossings, found, int(whole) + x1)
                found += 1
        for i in range(0, found, 2):
            span(cells, pixels, y - bottom, crossings[i], crossings[i + 1], color)
        for i in range(count):
            before = i - 1 if i else count - 1
            if lowest < y < highest and corners[i, 1] == y and corners[before, 1] == y:
                span(cells, pixels, y - bottom, corners[i, 0], corners[before, 0], color)


@compiled
def _edge(corners: np.ndarray, i: int, count: int) -> tuple[int, int, int, int]:
    """Returns the edge of a polygon of `count` corners that ends with corner `i`, x and y of its
    lower end first."""
    before = i - 1 if i else count - 1
    x1, y1 = corners[before, 0], corners[before, 1]
    x2, y2 = corners[i, 0], corners[i, 1]
    if y1 > y2:
        return x2, y2, x1, y1
    return x1, y1, x2, y2


@inlined
def _is_crossed(y: int, y1: int, y2: int, highest: int) -> bool:
    """Returns whether row `y` crosses an edge from `y1` up to `y2`: its upper end belongs to it
    only where the polygon, which reaches up to `highest`, ends there too."""
    return y1 != y2 and (y1 <= y < y2 or (y == highest and y2 == highest))


@compiled
def _insert(crossings: np.ndarray, found: int, crossing: int) -> None:
    """Puts one more number among the first `found` ones, which are sorted."""
    place = found
    while place and crossings[place - 1] > crossing:
        crossings[place] = crossings[place - 1]
        place -= 1
    crossings[place] = crossing
