"""What a state is worth, on episodes whose future is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.control.test_agent import H, Z, memory
from wm.control.training import value
from wm.core.car_racing import OFF_FIELD_REWARD
from wm.core.errors import UserError
from wm.memory.latents import LatentEpisode


def episode(rewards: list[float], terminated: bool = False, seed: int = 0) -> LatentEpisode:
    generator = np.random.default_rng(seed)
    steps = len(rewards)
    mu = generator.normal(size=(steps + 1, Z)).astype(np.float32)
    actions = generator.uniform(size=(steps, 3)).astype(np.float32)
    return LatentEpisode(mu, mu, actions, np.array(rewards, np.float32), terminated)


def test_rewards_are_discounted_and_what_the_end_leaves_open_is_left_out() -> None:
    rewards = np.random.default_rng(0).uniform(0, 3, 30).tolist()
    sums = value.discounted(episode(rewards), 0.5)
    assert len(sums) == 30 - 4  # 0.5 ** 4 is the first below TAIL
    for step, sum_ in enumerate(sums):
        assert sum_ == pytest.approx(
            sum(r * 0.5**t for t, r in enumerate(rewards[step:])), abs=1e-6
        )
    assert len(value.discounted(episode(rewards, terminated=True), 0.5)) == 26  # a lap's end
    assert len(value.discounted(episode([1.0, 2.0]), 0.5)) == 0


def test_a_car_that_reached_no_tile_for_long_never_will() -> None:
    rewards = [3.0] * 10 + [-0.1] * value.STANDSTILL
    sums = value.discounted(episode(rewards), 0.9)
    assert len(sums) == len(rewards)
    np.testing.assert_allclose(sums[10:], -1.0, rtol=1e-5)  # -0.1 / (1 - 0.9), wherever it is cut
    assert sums[9] == pytest.approx(3.0 - 0.9)
    nearly = value.discounted(episode(rewards[:-1]), 0.9)
    assert len(nearly) < len(rewards) - 1
    short = value.discounted(episode(rewards[-40:]), 0.9)  # too short to say
    assert len(short) < 40


def test_the_last_tile_before_a_car_was_lost() -> None:
    standing = [-0.1] * value.STANDSTILL
    assert value.last_tile(episode([3.0, -0.1, 3.0, *standing])) == 2
    assert value.last_tile(episode([3.0, -0.1, OFF_FIELD_REWARD], terminated=True)) == 0
    assert value.last_tile(episode(standing)) == 0
    assert value.last_tile(episode([3.0, -0.1, 3.0, *standing[1:]])) is None
    assert value.last_tile(episode([3.0, -0.1, 3.0], terminated=True)) is None
    # of a lap that left out a tile or a few
    assert value.last_tile(episode([9.4] * 100 + standing)) == 99
    assert value.last_tile(episode([9.6] * 100 + standing)) is None


def test_leaving_the_field_costs_no_more_than_the_memory_learns() -> None:
    sums = value.discounted(episode([3.0, OFF_FIELD_REWARD], terminated=True), 0.9)
    assert sums[1] == pytest.approx(-1.0 - 0.9)
    assert len(sums) == 2


def test_states_are_those_that_a_controller_sees() -> None:
    model, drive = memory(), episode([1.0] * 6)
    found = value.states(drive, model)
    assert found.shape == (6, H)
    assert not found[0].any()
    z, action = torch.from_numpy(drive.mu)[None], torch.from_numpy(drive.actions)[None]
    for step in range(1, 6):
        with torch.inference_mode():
            (h, _) = model.sequence(z[:, :step], action[:, :step])[1]
        np.testing.assert_allclose(found[step], h[0].numpy(), atol=1e-6)


def test_a_value_that_is_linear_in_z_is_found() -> None:
    """Rewards are made so that what follows a state is 2 z_0 - z_1 + 1."""
    drives = []
    for seed in range(20):
        drive = episode([0.0] * 101, seed=seed)
        worth = drive.mu @ [2.0, -1.0] + 20.0
        rewards = worth[:-1] - 0.5 * worth[1:]
        drives.append(LatentEpisode(
            drive.mu, drive.logvar, drive.actions, rewards.astype(np.float32), False
        ))  # fmt: skip
        assert (rewards > 0).all()
    fitted = value.fit(drives, memory(), 0.5)
    seen = torch.cat([torch.eye(Z), torch.zeros(Z, H)], dim=1)
    found = (fitted(seen) - fitted(torch.zeros(1, Z + H))).numpy()
    np.testing.assert_allclose(found, [2.0, -1.0], atol=0.1)
    again = value.fit(drives, memory(), 0.5)
    assert np.array_equal(fitted.weights, again.weights)
    assert fitted.bias == again.bias


def test_episodes_that_are_too_short_are_a_user_error() -> None:
    with pytest.raises(UserError, match=r"at 0\.9 a state's worth takes 22 steps after it"):
        value.fit([episode([1.0] * 22)], memory(), 0.9)
