"""The ground of CarRacing as pictures in world coordinates, so that a frame is an affine warp.

Colours are the ones that reach the observation: pygame's smoothscale takes 2 off every level (a grey
of 102 arrives as 100). Pictures have four channels, the last unused: OpenCV warps four bytes a pixel
twice as fast as three.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from gymnasium.envs.box2d.car_racing import GRASS_DIM, PLAYFIELD

CELL = 32  # texels a side of a grass square: its edges fall between texels on every level but the last
TEXELS = CELL / GRASS_DIM  # a unit of length, level 0: about as fine as the frame at full zoom
LEVELS = 5
FIELD = 2 * PLAYFIELD * TEXELS  # texels a side of the playfield
SIZE = round(FIELD)
FINE = 2  # the road is painted this much finer than level 0, then averaged
SHIFT = 8  # fractional bits of OpenCV's polygon vertices
DARKENING = 2
GRASS, PATCH = (102, 204, 102), (102, 230, 102)


@dataclass(frozen=True)
class Texture:
    """A mip pyramid of one rectangle of the playfield."""

    left: int  # of the rectangle, in texels of level 0 from the playfield's corner
    top: int
    levels: tuple[np.ndarray, ...]  # uint8 (H >> level, W >> level, 4)


def _pyramid(picture: np.ndarray, left: int, top: int) -> Texture:
    levels = [picture]
    while len(levels) < LEVELS:
        size = (levels[-1].shape[1] // 2, levels[-1].shape[0] // 2)
        levels.append(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA))
    return Texture(left, top, tuple(levels))


def shade(color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """`color` as it reaches the observation."""
    r, g, b = (max(c - DARKENING, 0) for c in color)
    return r, g, b, 0


@cache
def grass() -> Texture:
    """The whole playfield without a road."""
    picture = np.empty((SIZE, SIZE, 4), np.uint8)
    picture[:] = shade(GRASS)
    rows = picture.reshape(SIZE // CELL, CELL, SIZE // CELL, CELL, 4)
    rows[::2, :, ::2] = shade(PATCH)
    return _pyramid(picture, 0, 0)


def paint(polygons: list[tuple[list[tuple[float, float]], tuple[int, int, int]]]) -> Texture:
    """The rectangle around `polygons` (world coordinates, painter's order), with them painted on."""
    corners = np.array([corner for corner, _ in polygons])  # (N, 4, 2)
    texels = (corners + PLAYFIELD) * TEXELS
    block = 2 << LEVELS  # so that every level's texels are whole
    low = np.floor(texels.min(axis=(0, 1)) / block - 0.5).astype(int) * block
    high = np.ceil(texels.max(axis=(0, 1)) / block + 0.5).astype(int) * block
    (left, top), (right, bottom) = np.maximum(low, 0), np.minimum(high, SIZE)
    ground = grass().levels[0][top:bottom, left:right]
    fine = ground.repeat(FINE, axis=0).repeat(FINE, axis=1)
    vertices = ((texels - (left, top)) * FINE - 0.5) * (1 << SHIFT)
    for quad, (_, color) in zip(np.rint(vertices).astype(np.int32), polygons, strict=True):
        cv2.fillConvexPoly(fine, quad, shade(color), shift=SHIFT)
    size = (right - left, bottom - top)
    return _pyramid(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), int(left), int(top))
