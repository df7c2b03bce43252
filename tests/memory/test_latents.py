"""Encoded episodes on disk: read as they were written, damaged or foreign ones refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.drive.test_rollout import Counting, Plus, telemetry
from wm.core import artifacts
from wm.core.errors import UserError
from wm.drive.rollout import rollout
from wm.memory import latents
from wm.memory.latents import LatentEpisode


def encoded(ends: list[int | None], seeds: list[int], max_steps: int) -> list[LatentEpisode]:
    """Counting episodes whose two latents are the number on the frame, and its negative."""
    outcomes = rollout(
        [Counting(end) for end in ends], seeds, Plus(), max_steps=max_steps, telemetry=telemetry
    )
    result = []
    for outcome in outcomes:
        assert outcome.episode is not None
        number = outcome.episode.frames[:, 0, 0, 0].astype(np.float32)
        mu = np.stack([number, -number], axis=1)
        episode = outcome.episode
        result.append(
            LatentEpisode(
                mu, mu - 5, episode.actions, episode.rewards.astype(np.float32), episode.terminated
            )
        )
    return result


def test_an_episode_is_read_as_it_was_written(tmp_path: Path) -> None:
    for id_, episode in enumerate(encoded([None, 3], [0, 40], max_steps=4)):
        latents.write(tmp_path, id_, episode)
        again = latents.read(tmp_path, id_)
        for name in ("mu", "logvar", "actions", "rewards"):
            assert np.array_equal(getattr(again, name), getattr(episode, name)), name
        assert again.terminated == episode.terminated == (id_ == 1)


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found"):
        latents.read(tmp_path, 0)
    (episode,) = encoded([None], [0], max_steps=4)
    latents.write(
        tmp_path,
        0,
        LatentEpisode(episode.mu, episode.logvar, episode.actions[:2], episode.rewards, False),
    )
    with pytest.raises(UserError, match="not an episode's latents"):
        latents.read(tmp_path, 0)
    artifacts.save_tensors(tmp_path / "episode_000000.safetensors", {"mu": episode.mu})
    with pytest.raises(UserError, match="not an episode's latents"):
        latents.read(tmp_path, 0)
