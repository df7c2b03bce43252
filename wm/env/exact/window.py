"""The window of CarRacing, 1000x800 pixels, drawn in bands of rows and shrunk to the observation.

gymnasium draws through pygame (pygame-ce 2.5): `gfxdraw.aapolygon` and `gfxdraw.filled_polygon` for
field, grass and road, `draw.polygon` for the car, `transform.smoothscale` to shrink. All of it is
arithmetic of integers, with a few numbers in single precision, repeated here operation for
operation; the C functions' names stand beside. What differs is the order: a band of rows is
finished, shrunk and forgotten before the next, so that it never leaves the processor's caches; and
what the same polygon paints over is not drawn.
"""

from __future__ import annotations

import numpy as np
from gymnasium.envs.box2d.car_racing import MAX_SHAPE_DIM, WINDOW_H, WINDOW_W

from wm.env.exact.outlines import draw_polygon, outline
from wm.env.exact.polygons import CAR_CORNERS, CORNERS, fill_part
from wm.env.exact.row import allocating, compiled
from wm.env.exact.shares import CELLS, HEIGHT, LANES, LOWEST, PLACES
from wm.env.exact.shrink import WIDTH, shrink_across, shrink_down

BAND = 32
"""Rows of the window that are drawn together; 16 and 64 are slower by a few percent."""


@allocating
def observe(
    polygons: np.ndarray,
    colors: np.ndarray,
    view: tuple[float, float, float, float, float],
    parts: np.ndarray,
    part_corners: np.ndarray,
    part_colors: np.ndarray,
    observation: np.ndarray,
) -> None:
    """Fills in the first 84 rows of `observation`, uint8 (96, 96, 3): those above the indicators.

    `polygons`, float64 (P, 4, 2), are in the environment's units and painted in their order, the
    first one, the field, wherever it lies; `colors` are their pixels, uint64 (P,). `view` holds the
    cosine and the sine of the angle that they are turned by, the zoom, and how far they are then
    moved to the right and up. `parts` are the car's, int64 (Q, 8, 2) in the window's pixels, of
    `part_corners`, int64 (Q,), corners each.
    """
    corners = np.empty((len(polygons), CORNERS, 2), np.int64)
    reach = np.empty((len(polygons), 2), np.int64)
    seen = np.empty(len(polygons), np.int64)
    count = _project(polygons, view, corners, reach, seen)
    edges, spans, starts, single = outline(corners, reach, count)
    covered = count > 0 and _covers(spans[: starts[1]])
    ground = colors[seen[0]] if covered else np.uint64(0)
    cells = np.empty(BAND * CELLS, np.uint64)
    pixels = np.empty(BAND * CELLS * PLACES, np.uint64)
    lanes = cells.view(np.uint16)
    sums = np.empty(CELLS, np.uint64)
    sum_lanes = sums.view(np.uint16)
    shrunk, gathered = np.empty(WIDTH, np.uint16), np.zeros(WIDTH, np.uint16)
    crossings = np.empty(CAR_CORNERS, np.int64)
    car_low, car_high = _reach(parts, part_corners)
    line = 0
    for top in range(WINDOW_H - 1, LOWEST - 1, -BAND):
        bottom = max(top - BAND + 1, LOWEST)
        for cell in range(len(cells)):
            cells[cell] = ground
        for row in range(BAND):
            cells[CELLS * row] = np.uint64(0)
        for number in range(1 if covered else 0, count):
            low, high = max(reach[number, 0], bottom), min(reach[number, 1], top)
            if low <= high:
                start = starts[number] + low - reach[number, 0]
                draw_polygon(
                    cells, pixels, bottom, low, high, edges[number],
                    spans[start : start + high - low + 1], single[number],
                    corners[number], crossings, colors[seen[number]],
                )  # fmt: skip
        for part in range(len(parts) if car_low <= top and car_high >= bottom else 0):
            if part_corners[part]:
                fill_part(
                    cells, pixels, bottom, top, parts[part], part_corners[part], crossings,
                    part_colors[part],
                )  # fmt: skip
        for y in range(top, bottom - 1, -1):
            row = CELLS * (y - bottom)
            shrink_across(
                cells[row : row + CELLS], lanes[LANES * row : LANES * (row + CELLS)],
                pixels[PLACES * row : PLACES * (row + CELLS)], sums, sum_lanes, shrunk,
            )  # fmt: skip
            if shrink_down(shrunk, WINDOW_H - 1 - y, gathered, observation[line]):
                line += 1


@compiled
def _covers(spans: np.ndarray) -> bool:
    """Returns whether a polygon's spans, int64 (rows, 2), fill all that is seen."""
    for row in range(len(spans)):
        if spans[row, 0] > 0 or spans[row, 1] < WINDOW_W - 1:
            return False
    return len(spans) == HEIGHT


@compiled
def _reach(parts: np.ndarray, part_corners: np.ndarray) -> tuple[int, int]:
    """Returns the lowest and the highest row of all the car's parts."""
    lowest, highest = 1 << 30, -(1 << 30)
    for part in range(len(parts)):
        for corner in range(part_corners[part]):
            y = parts[part, corner, 1]
            lowest, highest = min(lowest, y), max(highest, y)
    return lowest, highest


@compiled
def _project(
    polygons: np.ndarray,
    view: tuple[float, float, float, float, float],
    corners: np.ndarray,
    reach: np.ndarray,
    seen: np.ndarray,
) -> int:
    """Returns how many of the polygons are in view; fills in their corners in the window's pixels,
    their lowest and highest rows, and which of `polygons` they are."""
    cos, sin, zoom, right, up = view
    count = 0
    for index in range(len(polygons)):
        near = index == 0
        left, rightmost = 1 << 30, -(1 << 30)
        lowest, highest = left, rightmost
        for corner in range(CORNERS):
            x, y = polygons[index, corner, 0], polygons[index, corner, 1]
            across = (cos * x - sin * y) * zoom + right
            along = (sin * x + cos * y) * zoom + up
            # _draw_colored_polygon's own test, which lets more through than is seen
            if (
                -MAX_SHAPE_DIM <= across <= WINDOW_W + MAX_SHAPE_DIM
                and -MAX_SHAPE_DIM <= along <= WINDOW_H + MAX_SHAPE_DIM
            ):
                near = True
            column, line = int(across), int(along)  # truncated (Sint16FromObj)
            corners[count, corner, 0], corners[count, corner, 1] = column, line
            left, rightmost = min(left, column), max(rightmost, column)
            lowest, highest = min(lowest, line), max(highest, line)
        if near and rightmost >= 0 and left < WINDOW_W and highest >= LOWEST and lowest < WINDOW_H:
            seen[count], reach[count, 0], reach[count, 1] = index, lowest, highest
            count += 1
    return count


@compiled
def place(
    parts: np.ndarray,
    part_corners: np.ndarray,
    bodies: np.ndarray,
    transforms: np.ndarray,
    view: tuple[float, float, float, float, float],
    placed: np.ndarray,
) -> None:
    """Fills in `placed`, int64 (Q, 8, 2): where the corners of the car's `parts`, float32
    (Q, 8, 2) on their bodies, are in the window.

    `bodies`, int64 (Q,), says whose part each is; `transforms`, float32 (B, 4), holds a body's
    cosine, sine and place, which Box2D multiplies by in single precision (b2Mul). `view` is
    `observe`'s.
    """
    cos, sin, zoom, right, up = view
    for part in range(len(parts)):
        c, s, dx, dy = transforms[bodies[part]]
        for corner in range(part_corners[part]):
            x, y = parts[part, corner]
            world_x = np.float64((c * x - s * y) + dx)
            world_y = np.float64((s * x + c * y) + dy)
            placed[part, corner, 0] = int((cos * world_x - sin * world_y) * zoom + right)
            placed[part, corner, 1] = int((sin * world_x + cos * world_y) * zoom + up)
