"""What a state is worth, on episodes whose future is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.control.test_agent import H, Z, memory
from wm.control.training import value
from wm.core.car_racing import OFF_FIELD_REWARD
from wm.memory.latents import LatentEpisode


def episode(rewards: list[float], terminated: bool = False, seed: int = 0) -> LatentEpisode:
    generator = np.random.default_rng(seed)
    steps = len(rewards)
    mu = generator.normal(size=(steps + 1, Z)).astype(np.float32)
    actions = generator.uniform(size=(steps, 3)).astype(np.float32)
    return LatentEpisode(mu, mu, actions, np.array(rewards, np.float32), terminated)


def test_rewards_are_discounted_and_the_end_stays_open() -> None:
    rewards = np.random.default_rng(0).uniform(0, 3, 30).tolist()
    for terminated in (False, True):  # True: a lap's end
        sums, open_ = value.discounted(episode(rewards, terminated), 0.5, lost_cost=9.0)
        assert len(sums) == len(open_) == 30
        for step, sum_ in enumerate(sums):
            assert sum_ == pytest.approx(
                sum(r * 0.5**t for t, r in enumerate(rewards[step:])), abs=1e-6
            )
            assert open_[step] == 0.5 ** (30 - step)


@pytest.mark.parametrize("lost_cost", [0.0, 20.0])
def test_a_car_that_reached_no_tile_for_long_never_will(lost_cost: float) -> None:
    rewards = [3.0] * 10 + [-0.1] * value.STANDSTILL
    sums, open_ = value.discounted(episode(rewards), 0.9, lost_cost)
    assert len(sums) == len(rewards)
    assert not open_.any()
    left = 0.9 ** np.arange(value.STANDSTILL, 0, -1)  # -0.1 / (1 - 0.9) of it all, wherever it ends
    np.testing.assert_allclose(sums[10:], -1.0 - lost_cost * left, rtol=1e-5)
    assert sums[9] == pytest.approx(3.0 + 0.9 * sums[10])
    for shorter in (rewards[:-1], rewards[-40:]):  # too short to say
        assert value.discounted(episode(shorter), 0.9, lost_cost)[1].all()


def test_a_car_on_its_second_lap_is_not_lost() -> None:
    driven = [9.0, -0.1] * 100  # nine tenths of a lap's tiles
    sums, open_ = value.discounted(episode([*driven, *[-0.1] * 99]), 0.9, lost_cost=20.0)
    expected, all_open = value.discounted(episode(driven[:-1]), 0.9, lost_cost=20.0)
    np.testing.assert_array_equal(sums, expected)  # it ends at the last tile
    np.testing.assert_array_equal(open_, all_open)
    assert open_.all()


def test_the_last_tile_before_a_car_was_lost() -> None:
    standing = [-0.1] * value.STANDSTILL
    assert value.last_tile(episode([3.0, -0.1, 3.0, *standing])) == 2
    assert value.last_tile(episode([3.0, -0.1, OFF_FIELD_REWARD], terminated=True)) == 0
    assert value.last_tile(episode(standing)) == 0
    assert value.last_tile(episode([3.0, -0.1, 3.0, *standing[1:]])) is None
    assert value.last_tile(episode([3.0, -0.1, 3.0], terminated=True)) is None
    # of a lap that left out a tile or a few
    assert value.last_tile(episode([8.3] * 100 + standing)) == 99
    assert value.last_tile(episode([8.5] * 100 + standing)) is None


def test_leaving_the_field_costs_no_more_than_the_memory_learns() -> None:
    drive = episode([3.0, OFF_FIELD_REWARD], terminated=True)
    sums, open_ = value.discounted(drive, 0.9, lost_cost=0.0)
    assert sums[1] == pytest.approx(-1.0 - 0.9)
    assert not open_.any()


def test_states_are_those_that_a_controller_sees() -> None:
    model, drive = memory(), episode([1.0] * 6)
    found = value.states(drive, model)
    assert found.shape == (7, H)
    assert not found[0].any()
    z, action = torch.from_numpy(drive.mu)[None], torch.from_numpy(drive.actions)[None]
    for step in range(1, 7):
        with torch.inference_mode():
            (h, _) = model.sequence(z[:, :step], action[:, :step])[1]
        np.testing.assert_allclose(found[step], h[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 7, 101])
def test_a_value_that_is_linear_in_z_is_found(steps: int) -> None:
    """Rewards are made so that what follows a state is 2 z_0 - z_1 + 20, the end's too: however
    little of it an episode shows."""
    drives = []
    for seed in range(2000 // steps):
        drive = episode([0.0] * steps, seed=seed)
        worth = drive.mu @ [2.0, -1.0] + 20.0
        rewards = worth[:-1] - 0.5 * worth[1:]
        drives.append(LatentEpisode(
            drive.mu, drive.logvar, drive.actions, rewards.astype(np.float32), False
        ))  # fmt: skip
        assert (rewards > 0).all()
    fitted = value.fit(drives, memory(), 0.5, lost_cost=0.0)
    seen = torch.cat([torch.eye(Z), torch.zeros(Z, H)], dim=1)
    at_0 = fitted(torch.zeros(1, Z + H))
    np.testing.assert_allclose((fitted(seen) - at_0).numpy(), [2.0, -1.0], atol=0.1)
    assert float(at_0) == pytest.approx(20.0, abs=0.5)
    again = value.fit(drives, memory(), 0.5, lost_cost=0.0)
    assert np.array_equal(fitted.weights, again.weights)
    assert fitted.bias == again.bias


def test_a_lost_drive_is_worth_less_the_more_it_costs() -> None:
    lost = episode([1.0] * 10 + [-0.1] * 60, seed=1)
    at_end = torch.from_numpy(np.concatenate([lost.mu, value.states(lost, memory())], axis=1))[-2:]
    cheap, dear = (
        value.fit([lost, episode([1.0] * 70)], memory(), 0.9, cost)(at_end).mean()
        for cost in (0.0, 50.0)
    )
    assert cheap - 40 < dear < cheap - 5
