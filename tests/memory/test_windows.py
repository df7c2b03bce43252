"""Windows hold what belongs together, from an environment that counts to the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.memory.test_latents import encoded
from wm.memory import latents
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
    assert len(dataset) == (12 - 5 + 1) + (9 - 5 + 1) + 1 + 1
    batch = dataset.windows(np.arange(len(dataset)))
    check(batch)
    assert batch.mu.shape == (len(dataset), 6, 2)
    assert batch.action.shape == (len(dataset), 5, 3)
    # the first episode was cut off, not terminated; the others end with the last step they have
    assert batch.done[:8].sum() == 0
    assert batch.done.nonzero().tolist() == [[12, 4], [13, 2], [14, 4]]
    assert batch.mask.sum(1).tolist() == [5.0] * 13 + [3.0, 5.0]
    # windows start at every frame that leaves room, and at no other
    assert batch.mu[:8, 0, 0].tolist() == made[0].mu[:8, 0].tolist()


def test_batches_are_a_function_of_the_step_and_reach_every_window() -> None:
    dataset = LatentDataset(encoded([None, 9], [0, 40], max_steps=12), 5)
    cpu = torch.device("cpu")
    first, again = (training_batch(dataset, 6, 0, 3, cpu) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    seen: set[float] = set()
    for step in range(40):
        batch = training_batch(dataset, 6, 0, step, cpu)
        check(batch)
        seen |= set(batch.mu[:, 0, 0].tolist())
    assert len(seen) == len(dataset)
