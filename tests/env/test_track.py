"""Tracks that are kept: those of gymnasium, and no more memory than they need."""

import gc

import numpy as np

from verify.soak import Undrawn, resident_mib
from wm.env.fast import track


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
