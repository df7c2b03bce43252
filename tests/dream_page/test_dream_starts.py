"""Where dreams begin: the rule, and what the memory knows then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from play import dream
from tests.control.test_agent import Numbers, memory
from wm.control.dream_page import starts
from wm.control.dream_page.starts import CONTEXT, COUNT
from wm.core import episodes
from wm.core.car_racing import TELEMETRY, ZOOM_STEPS, along_road
from wm.core.episodes import Episode, EpisodeFile

FIRST = ZOOM_STEPS + CONTEXT


def episode(number: int, steps: int, offset: float = 0.0) -> Episode:
    """Frames and curvature count the steps; the car is `offset` from the centre line."""
    frames = np.broadcast_to(
        np.arange(steps + 1, dtype=np.uint8)[:, None, None, None], (steps + 1, 64, 64, 3)
    )
    telemetry = np.zeros((steps + 1, len(TELEMETRY)), np.float32)
    telemetry[:, TELEMETRY.index("curvature_ahead")] = np.arange(steps + 1)
    telemetry[:, TELEMETRY.index("lateral_offset")] = offset
    actions = np.random.default_rng(number).uniform(size=(steps, 3)).astype(np.float32)
    return Episode(number, 7, frames, actions, np.zeros(steps), False, True, telemetry)


def saved(folder: Path, *made: Episode) -> list[EpisodeFile]:
    for one in made:
        episodes.save(folder / episodes.file_name(one.id), one)
    return [EpisodeFile(folder / episodes.file_name(one.id)) for one in made]


def test_starts_are_the_middles_of_equal_parts_by_curvature(tmp_path: Path) -> None:
    steps = FIRST + 119
    found = starts.choose(saved(tmp_path, episode(0, steps), episode(1, steps, offset=99.0)))
    assert [start.id for start in found] == [0] * COUNT  # the other is beside the road
    assert [int(start.frames[-1, 0, 0, 0]) for start in found] == [
        FIRST + 10 + 20 * i for i in range(COUNT)
    ]
    for start in found:
        assert len(start.actions) == CONTEXT
        last = int(start.frames[-1, 0, 0, 0])
        expected = episode(0, steps).actions[last - CONTEXT : last]
        assert np.array_equal(start.actions, expected)


def test_where_no_frame_qualifies_it_is_each_episode_s_last(tmp_path: Path) -> None:
    files = saved(tmp_path, *(episode(number, 1 + number) for number in range(COUNT + 2)))
    found = starts.choose(files)
    assert [len(start.actions) for start in found] == [1 + number for number in range(COUNT)]


def test_few_frames_give_few_starts(tmp_path: Path) -> None:
    (start,) = starts.choose(saved(tmp_path, episode(3, FIRST)))
    assert start.frames[-1, 0, 0, 0] == FIRST


def test_the_memory_has_seen_the_steps_before() -> None:
    vision, model = Numbers(), memory()
    start = replace(starts.cut(episode(0, 40), 30))
    z, h, c = starts.remembered(vision, model, start)  # type: ignore[arg-type]
    mu = vision.encode(start.frames)[0]
    with torch.inference_mode():
        _, state = model.sequence(mu[None, :-1], torch.from_numpy(start.actions)[None])
    np.testing.assert_allclose(z, mu[-1], atol=1e-6)
    np.testing.assert_allclose(h, state[0][0], atol=1e-5)
    np.testing.assert_allclose(c, state[1][0], atol=1e-5)


def test_the_published_starts_are_on_the_road() -> None:
    found = dream.read_starts()
    assert len(found) == COUNT
    held_out = episodes.split(range(160))[1]  # of the committed run
    curvature = [start.telemetry[-1, TELEMETRY.index("curvature_ahead")] for start in found]
    assert curvature == sorted(curvature)
    for start in found:
        assert start.id in held_out
        assert along_road(start.telemetry)[-1]
        assert len(start.actions) == CONTEXT
