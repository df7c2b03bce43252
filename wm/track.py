"""A track of CarRacing: gymnasium's own generator, run once a seed, and what is derived from it.

A track costs milliseconds and the same few recur across the candidates of a generation, so the last
ones are kept (`survey`). What is kept is never changed by an episode.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
from Box2D.b2 import fixtureDef, polygonShape
from gymnasium.envs.box2d.car_racing import CarRacing

from wm.track_texture import Color, Quad, Texture, paint

CACHED_TRACKS = 32  # about 2 MB each

# Only wheels have this category (gymnasium's Car): tiles that collide with nothing else save the
# callbacks of hull against tile, which gymnasium uses to no effect but a tile's shade of grey.
WHEEL_CATEGORY = 0x0020


class CentreLine:
    """The closed polyline through a track's tiles; what the telemetry is measured against."""

    def __init__(self, tiles: list[tuple[float, float, float, float]]) -> None:
        """`tiles`: gymnasium's `env.track`, (alpha, heading, x, y) a tile, in driving order."""
        _, heading, x, y = np.array(tiles, dtype=np.float64).T
        self._start = np.stack([x, y], axis=1)  # (N, 2)
        self._along = np.roll(self._start, -1, axis=0) - self._start  # (N, 2)
        self._length = np.hypot(*self._along.T)  # (N,)
        self._squared = np.maximum(self._length**2, 1e-12)
        self._heading = heading

    def locate(self, x: float, y: float, ahead: float) -> tuple[float, float, float]:
        """Offset to the left of the line (units), its heading (rad), its mean curvature over the
        next `ahead` units (rad a unit, positive to the left), at the point nearest to (x, y)."""
        to = np.array([x, y]) - self._start
        fraction = np.clip((to * self._along).sum(axis=1) / self._squared, 0.0, 1.0)
        away = to - fraction[:, None] * self._along
        squared = (away * away).sum(axis=1)
        i = int(squared.argmin())
        left = self._along[i, 0] * to[i, 1] - self._along[i, 1] * to[i, 0]
        offset = math.copysign(math.sqrt(squared[i]), left)
        here, there = self._heading_at(i, fraction[i]), self._heading_after(i, fraction[i], ahead)
        return offset, here, wrap(there - here) / ahead

    def _heading_at(self, i: int, fraction: float) -> float:
        j = (i + 1) % len(self._heading)
        return float(self._heading[i] + fraction * wrap(self._heading[j] - self._heading[i]))

    def _heading_after(self, i: int, fraction: float, ahead: float) -> float:
        left = ahead + fraction * self._length[i]
        while left > self._length[i]:
            left -= self._length[i]
            i = (i + 1) % len(self._length)
        return self._heading_at(i, left / self._length[i])


def wrap(angle: float) -> float:
    """`angle` (rad) brought into [-pi, pi]."""
    return math.remainder(angle, 2 * math.pi)


@dataclass(frozen=True)
class Track:
    """One track, shared by every episode on it and never written to."""

    tiles: list[tuple[float, float, float, float]]  # gymnasium's `env.track`
    polygons: list[tuple[Quad, Color]]  # in painter's order
    fixtures: list[fixtureDef]  # a sensor a tile, its index as user data
    start_alpha: float

    @cached_property
    def texture(self) -> Texture:
        return paint(self.polygons)


def fixture(corners: list[tuple[float, float]], index: int) -> fixtureDef:
    """The sensor that stands for tile `index`."""
    definition, shape = fixtureDef(), polygonShape()
    shape.vertices = corners
    definition.shape = shape
    # Box2D's setter takes the shape from Python and never frees it: 0.1 MB a track. Given back, it
    # has to live as long as the definition that points at it.
    shape.thisown = True
    definition.owned_shape = shape
    definition.isSensor = True
    definition.maskBits = WHEEL_CATEGORY
    definition.userData = index
    return definition


class _Surveyor(CarRacing):
    """gymnasium's `_create_track` with nothing behind it: the bodies it asks for are notes."""

    def __init__(self) -> None:
        super().__init__()
        self.fd_tile = SimpleNamespace(shape=SimpleNamespace(vertices=None))
        self.world = SimpleNamespace(CreateStaticBody=self._note_tile)

    def _note_tile(self, fixtures: Any) -> Any:
        return SimpleNamespace(vertices=fixtures.shape.vertices, fixtures=[SimpleNamespace()])

    road: Any  # what `_note_tile` returned, a tile each

    def generate(self, rng: np.random.Generator) -> Track:
        self.np_random = rng
        while True:  # as gymnasium's reset: some random walks do not close
            self.road_poly: list[Any] = []
            if self._create_track():
                break
        fixtures = [fixture(tile.vertices, index) for index, tile in enumerate(self.road)]
        polygons: list[tuple[Quad, Color]] = []
        for corners, (r, g, b) in self.road_poly:
            polygons.append((corners, (int(r), int(g), int(b))))
        return Track(self.track, polygons, fixtures, self.start_alpha)


_surveyor: _Surveyor | None = None
_cache: OrderedDict[tuple[int, int], tuple[Track, Mapping[str, Any]]] = OrderedDict()


def survey(rng: np.random.Generator) -> Track:
    """The track that gymnasium's CarRacing would generate from `rng`, which ends in the same state
    whether the track was at hand or had to be generated."""
    global _surveyor
    state = rng.bit_generator.state
    key = (state["state"]["state"], state["state"]["inc"])
    if key in _cache:
        _cache.move_to_end(key)
        track, rng.bit_generator.state = _cache[key]
        return track
    if _surveyor is None:
        _surveyor = _Surveyor()
    track = _surveyor.generate(rng)
    _cache[key] = (track, rng.bit_generator.state)
    if len(_cache) > CACHED_TRACKS:
        _cache.popitem(last=False)
    return track
