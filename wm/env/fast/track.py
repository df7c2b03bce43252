"""A track of CarRacing: gymnasium's own generator, run once a seed, and what is derived from it.

A track costs milliseconds and the same few recur across the candidates of a generation, so the last
ones are kept (`generate_track`). What is kept is never changed by an episode.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np
from Box2D.b2 import fixtureDef, polygonShape
from gymnasium.envs.box2d.car_racing import CarRacing

from wm.env.fast.track_texture import Color, Quad, Texture, paint

CACHED_TRACKS = 32  # about 2 MB each

# Only wheels have this category (gymnasium's Car): tiles that collide with nothing else save the
# callbacks of hull against tile, which gymnasium uses to no effect but a tile's shade of grey.
WHEEL_CATEGORY = 0x0020

# A world never gives back its references to user data, so tiles of different tracks share theirs:
# integers of their own would be 1.2 KB a new track.
_indices: dict[int, int] = {}


@dataclass(frozen=True)
class Track:
    """A track, shared by every episode on it and never written to."""

    tiles: list[tuple[float, float, float, float]]
    """gymnasium's `env.track`: (alpha, heading, x, y) of each tile, in driving order."""
    polygons: list[tuple[Quad, Color]]
    """The road's tiles and kerbs, in the order in which they are painted."""
    fixtures: list[fixtureDef]
    """A sensor for each tile, with its index as user data."""
    start_alpha: float
    """gymnasium's `env.start_alpha`."""

    @cached_property
    def texture(self) -> Texture:
        """The road as pictures, painted when they are first needed."""
        return paint(self.polygons)


def fixture(corners: list[tuple[float, float]], index: int) -> fixtureDef:
    """Returns the sensor that stands for tile `index`, a polygon in the environment's units."""
    definition, shape = fixtureDef(), polygonShape()
    shape.vertices = corners
    definition.shape = shape
    # Box2D's setter takes the shape from Python and never frees it: 0.1 MB a track. Given back, it
    # has to live as long as the definition that points at it.
    shape.thisown = True
    definition.owned_shape = shape
    definition.isSensor = True
    definition.maskBits = WHEEL_CATEGORY
    definition.userData = _indices.setdefault(index, index)
    return definition


class _TrackGenerator(CarRacing):
    """Runs gymnasium's `_create_track` without a world: it takes down the bodies asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.fd_tile = SimpleNamespace(shape=SimpleNamespace(vertices=None))
        self.world = SimpleNamespace(CreateStaticBody=self._note_tile)

    def _note_tile(self, fixtures: Any) -> Any:
        return SimpleNamespace(vertices=fixtures.shape.vertices, fixtures=[SimpleNamespace()])

    road: Any  # what `_note_tile` returned, a tile each

    def generate(self, rng: np.random.Generator) -> Track:
        """Returns the track that follows from `rng`."""
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


_generator: _TrackGenerator | None = None
_cache: OrderedDict[tuple[int, int], tuple[Track, Mapping[str, Any]]] = OrderedDict()


def generate_track(rng: np.random.Generator) -> Track:
    """Returns the track that gymnasium's CarRacing would generate from `rng`, a PCG64 that has just
    been seeded.

    `rng` ends in the same state whether the track was kept or had to be generated.
    """
    global _generator
    state = rng.bit_generator.state
    key = (state["state"]["state"], state["state"]["inc"])
    if key in _cache:
        _cache.move_to_end(key)
        track, rng.bit_generator.state = _cache[key]
        return track
    if _generator is None:
        _generator = _TrackGenerator()
    track = _generator.generate(rng)
    _cache[key] = (track, rng.bit_generator.state)
    if len(_cache) > CACHED_TRACKS:
        _cache.popitem(last=False)
    return track
