"""Learning rates, and the seed of first weights."""

from __future__ import annotations

import pytest
import torch

from wm.nn.compute import seeded
from wm.vision.training.schedule import Schedule


def test_schedule() -> None:
    falling, constant = Schedule(2.0, 100, True), Schedule(2.0, 100, False)
    assert falling.at(0) == 2.0
    assert falling.at(50) == pytest.approx(1.0)
    assert 0 < falling.at(99) < 0.001
    assert constant.at(99) == 2.0


def test_seeded_decides_what_is_drawn_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    drawn = []
    for seed in (0, 0, 1):
        with seeded(seed):
            drawn.append(torch.rand(4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
