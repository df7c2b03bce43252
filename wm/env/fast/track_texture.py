"""The ground of CarRacing as pictures in world coordinates, so that a frame is an affine warp.

Colours are the ones that reach the observation: pygame's smoothscale takes 2 off every level (a
grey of 102 arrives as 100). Pictures have four channels, the last unused: OpenCV warps four bytes
a pixel twice as fast as three.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from itertools import product

import cv2
import numpy as np
from gymnasium.envs.box2d.car_racing import GRASS_DIM, PLAYFIELD

Color = tuple[int, int, int]
Quad = list[tuple[float, float]]  # left, right, right, left in world units, for tiles and kerbs

CELL = 24  # texels a side of a grass square; found by trying, as the least pixel difference
TEXELS = CELL / GRASS_DIM  # a unit of length on level 0
SIZE = 40 * CELL  # texels a side of the playfield
LEVELS = 5  # the last for the first frame, which shows the whole playfield
FINE = 4  # the road is painted this much finer than level 0, then averaged
BLOCK = 32  # texels a side painted at a time: most of the playfield has no road, and is left alone
ALIGN = 2 << (LEVELS - 1)  # texels to which a rectangle is rounded out, so that levels are whole
SHIFT = 8  # fractional bits of OpenCV's polygon vertices
# OpenCV fills the pixels that an edge runs through, half a fine texel beyond it on average; so does
# pygame, by half of the window's pixels (16.2 a unit). What is left between the two, in units:
OVERDRAWN = 0.5 / (TEXELS * FINE) - 0.5 / 16.2
DARKENING = 2


@dataclass(frozen=True)
class Texture:
    """A mip pyramid of a rectangle of the playfield."""

    left: int
    """The rectangle's left edge, in texels of level 0 from the playfield's corner."""
    top: int
    """The rectangle's top edge, in the same texels."""
    levels: tuple[np.ndarray, ...]
    """The pictures, uint8 (H >> level, W >> level, 4)."""


@cache
def shade(color: Color) -> tuple[int, int, int, int]:
    """Returns `color` as it reaches the observation."""
    r, g, b = (max(c - DARKENING, 0) for c in color)
    return r, g, b, 0


_GRASS = np.array(shade((102, 204, 102)), np.uint8)
_PATCH = np.array(shade((102, 230, 102)), np.uint8)


def _pyramid(picture: np.ndarray, left: int, top: int) -> Texture:
    levels = [picture]
    while len(levels) < LEVELS:
        levels.append(_halve(levels[-1]))
    return Texture(left, top, tuple(levels))


def _halve(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


@cache
def grass() -> Texture:
    """Returns the whole playfield without a road."""
    return _pyramid(_checks(SIZE, CELL), 0, 0)


@cache
def _checks(size: int, cell: int) -> np.ndarray:
    """Returns grass from a corner of the playfield on, uint8 (size, size, 4), its squares `cell`
    wide."""
    lighter = np.arange(size) // cell % 2 == 0
    return np.where((lighter[:, None] & lighter)[..., None], _PATCH, _GRASS)


def paint(polygons: list[tuple[Quad, Color]]) -> Texture:
    """Returns the rectangle of the playfield that holds `polygons`, painted on it in order."""
    corners = np.array([quad for quad, _ in polygons])  # (N, 4, 2)
    across = corners[:, [1, 0, 3, 2]] - corners
    # where a bend turns over, gymnasium lays a kerb of no width along the middle of the road
    across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-9)
    texels = (corners + OVERDRAWN * across + PLAYFIELD) * TEXELS
    low = (np.floor(texels.min(axis=(0, 1)) / ALIGN).astype(int) - 1) * ALIGN
    high = (np.ceil(texels.max(axis=(0, 1)) / ALIGN).astype(int) + 1) * ALIGN
    left, top = np.maximum(low, 0).tolist()
    right, bottom = np.minimum(high, SIZE).tolist()
    texels -= (left, top)
    first = np.floor((texels.min(axis=1) - 1) / BLOCK).astype(int)  # (N, 2) columns, rows
    last = np.floor((texels.max(axis=1) + 1) / BLOCK).astype(int)
    blocks = defaultdict(list)  # (row, column): the polygons that touch it, in order
    for i, (column, row, last_column, last_row) in enumerate(np.hstack([first, last]).tolist()):
        for at in product(range(row, last_row + 1), range(column, last_column + 1)):
            blocks[at].append(i)

    quads = np.rint((texels * FINE - 0.5) * (1 << SHIFT)).astype(np.int32)
    colors = [shade(color) for _, color in polygons]
    side = BLOCK * FINE
    fine_grass = _checks(2 * CELL * FINE + side, CELL * FINE)
    picture = grass().levels[0][top:bottom, left:right].copy()
    for (row, column), touching in blocks.items():
        y, x = row * BLOCK, column * BLOCK
        below, beside = (top + y) % (2 * CELL) * FINE, (left + x) % (2 * CELL) * FINE
        fine = fine_grass[below : below + side, beside : beside + side].copy()
        corner = np.array([x, y], np.int32) * (FINE << SHIFT)
        for i in touching:
            cv2.fillConvexPoly(fine, quads[i] - corner, colors[i], shift=SHIFT)
        picture[y : y + BLOCK, x : x + BLOCK] = _halve(_halve(fine))
    return _pyramid(picture, left, top)
