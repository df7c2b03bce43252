"""Tracks that are kept: those of gymnasium, and no more memory than they need."""

import gc
import sys

import numpy as np
import pytest

from verify.soak import Undrawn, allocated_bytes, resident_mib
from wm.env.fast import track
from wm.env.fast.car_physics import FastCar, World
from wm.env.fast.environment import make


def test_a_cached_track_and_the_generator_after_it_are_the_same_as_new() -> None:
    track._cache.clear()
    official = Undrawn()
    for seed in range(5):
        new_rng, cached_rng = np.random.default_rng(seed), np.random.default_rng(seed)
        new, cached = track.generate_track(new_rng), track.generate_track(cached_rng)
        assert new is cached
        track._cache.clear()
        again = track.generate_track(np.random.default_rng(seed))
        assert again.tiles == new.tiles
        assert again.polygons == new.polygons
        for ours, theirs in zip(new.texture.levels, again.texture.levels, strict=True):
            assert np.array_equal(ours, theirs)
        official.reset(seed=seed)
        assert official.track == new.tiles
        state = official.np_random.bit_generator.state
        assert new_rng.bit_generator.state == cached_rng.bit_generator.state == state
    for seed in range(track.CACHED_TRACKS + 3):
        track.generate_track(np.random.default_rng(seed))
    assert len(track._cache) == track.CACHED_TRACKS


def test_new_tracks_leave_no_memory_behind() -> None:
    def after(seeds: range) -> float:
        for seed in seeds:
            track.generate_track(np.random.default_rng(seed))
        gc.collect()
        return resident_mib()

    settled = after(range(50))  # the cache is full
    assert after(range(50, 130)) - settled < 3  # MiB; the shapes of 80 tracks' tiles are 7


def test_episodes_on_new_tracks_leave_no_python_objects_behind() -> None:
    env = make()

    def after(seeds: range) -> int:
        for seed in (*seeds, 0):
            env.reset(seed=seed)
        track._cache.clear()  # what is kept is then the last track, the same every time
        gc.collect()
        return sys.getallocatedblocks()

    settled = after(range(1, 11))
    assert after(range(11, 31)) - settled < 100  # the integers of 20 tracks' tiles are 700


@pytest.mark.skipif(allocated_bytes() is None, reason="needs the C library's mallinfo2")
def test_new_cars_leave_no_memory_behind() -> None:
    def after(cars: int) -> int:
        for _ in range(cars):
            FastCar(World((0, 0)), 0.0, 0.0, 0.0).destroy()
        gc.collect()
        return allocated_bytes() or 0

    settled = after(50)
    assert after(400) - settled < 100_000  # the shapes of 400 cars are 970,000
