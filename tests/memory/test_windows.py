"""Windows hold what belongs together, from an environment that counts to the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.memory.test_latents import encoded
from wm.memory import latents
from wm.memory.latents import LatentEpisode
from wm.memory.training.windows import Batch, LatentDataset, training_batch


def check(batch: Batch) -> None:
    """next = number + action, reward = next / 10, at every step that exists."""
    there = batch.mask.bool()
    number, following = batch.mu[:, :-1, 0], batch.mu[:, 1:, 0]
    assert torch.equal((number + batch.action[..., 1])[there], following[there])
    torch.testing.assert_close((following / 10)[there], batch.reward[there])
    assert torch.equal(batch.logvar, batch.mu - 5)
    assert torch.equal(batch.mu[..., 1], -batch.mu[..., 0])


def test_alignment_from_the_environment_to_the_batch(tmp_path: Path) -> None:
    made = encoded([None, 9, 3, 5], [0, 40, 80, 130], max_steps=12)
    for id_, episode in enumerate(made):
        latents.write(tmp_path, id_, episode)
    dataset = LatentDataset([latents.read(tmp_path, id_) for id_ in range(4)], 5)
    batch = dataset.windows(np.arange(len(dataset)))
    check(batch)
    assert batch.mu.shape == (len(dataset), 6, 2)
    assert batch.action.shape == (len(dataset), 5, 3)
    # from four steps before an episode to its last one; of a short one the whole, five times
    lengths = [1, 2, 3, 4, *[5] * 8, 4, 3, 2, 1, *[1, 2, 3, 4, *[5] * 5, 4, 3, 2, 1], *[3] * 5]
    assert batch.mask.sum(1).tolist() == [*lengths, *[5] * 5]
    starts = made[0].mu[[0] * 4 + list(range(12)), 0]
    assert batch.mu[:16, 0, 0].tolist() == starts.tolist()
    # the first episode was cut off, not terminated
    assert batch.done[:16].sum() == 0


def numbered(*lengths: int) -> list[LatentEpisode]:
    """Episodes of these numbers of steps, which all terminate, no two frames of which are alike."""
    made, number = [], 0
    for steps in lengths:
        mu = np.arange(number, number + steps + 1, dtype=np.float32)[:, None]
        number += steps + 1
        actions, rewards = np.zeros((steps, 3), np.float32), np.zeros(steps, np.float32)
        made.append(LatentEpisode(mu, mu, actions, rewards, True))
    return made


def test_every_step_is_in_as_many_windows_as_any_other() -> None:
    episodes = numbered(12, 9, 3, 5)
    for length in (1, 2, 5, 11, 12, 13, 100):
        dataset = LatentDataset(episodes, length)
        batch = dataset.windows(np.arange(len(dataset)))
        there = batch.mask.bool()
        numbers, counts = batch.mu[:, :-1, 0][there].unique(return_counts=True)
        assert len(numbers) == 12 + 9 + 3 + 5
        assert set(counts.tolist()) == {min(length, 12)}, length
        # so the end of an episode is as frequent among the targets as it is among the steps
        assert batch.done[there].mean().item() == pytest.approx(4 / len(numbers)), length


def test_a_masked_step_is_never_one_that_exists() -> None:
    """What a window repeats beyond its end is masked, also where the episode goes on."""
    dataset = LatentDataset(encoded([None], [0], max_steps=12), 5)
    batch = dataset.windows(np.arange(len(dataset)))
    for mask in batch.mask:
        count = int(mask.sum())
        assert mask.tolist() == [1.0] * count + [0.0] * (5 - count)


def test_windows_are_no_longer_than_the_longest_episode() -> None:
    dataset = LatentDataset(encoded([None, 3], [0, 40], max_steps=12), 20_000)
    assert dataset.windows(np.arange(2)).mask.shape == (2, 12)


def test_windows_are_as_long_as_those_of_other_episodes_in_their_batch() -> None:
    dataset = LatentDataset(numbered(3, 5), 20, longest=9)
    batch = dataset.windows(np.arange(len(dataset)))
    assert batch.mask.shape == (len(dataset), 9)
    assert sorted(set(batch.mask.sum(1).tolist())) == [3, 5]
    assert LatentDataset(numbered(3, 5), 4, longest=9).windows(np.arange(2)).mask.shape == (2, 4)


def test_batches_are_a_function_of_the_step_and_reach_every_window() -> None:
    dataset = LatentDataset(encoded([None, 9], [0, 40], max_steps=12), 5)
    cpu = torch.device("cpu")
    first, again = (training_batch(dataset, 6, 0, 3, cpu) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    seen: set[tuple[float, float]] = set()
    for step in range(60):
        batch = training_batch(dataset, 6, 0, step, cpu)
        check(batch)
        seen |= set(zip(batch.mu[:, 0, 0].tolist(), batch.mask.sum(1).tolist(), strict=True))
    assert len(seen) == len(dataset)
