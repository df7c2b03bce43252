"""Alignment of observation, action and reward, and who ends when, on environments that count."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from wm.core.errors import UserError
from wm.drive.rollout import rollout


class Counting(gymnasium.Env):
    """The observation is a number that the action is added to, so any misalignment shows.

    It starts at the seed; the reward is the number that the step led to, over 10.
    """

    observation_space = gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)

    def __init__(self, end: int | None = None) -> None:
        self.end = end

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        assert seed is not None
        self.number, self.steps = seed, 0
        return self._frame(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.number += int(action[1])
        self.steps += 1
        return self._frame(), self.number / 10, self.steps == self.end, False, {}

    def _frame(self) -> np.ndarray:
        return np.full((64, 64, 3), self.number % 256, np.uint8)


class Plus:
    """Adds 1 + the number's last digit; keeps what it was asked."""

    def begin(self, count: int) -> None:
        self.asked: list[list[int]] = []

    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        self.asked.append(live.tolist())
        actions = np.zeros((len(live), 3), np.float32)
        actions[:, 1] = 1 + frames[:, 0, 0, 0] % 10
        return actions


def telemetry(env: Counting) -> np.ndarray:
    return np.full(6, env.number, np.float32)


def test_frames_actions_rewards_and_telemetry_are_aligned() -> None:
    ends = [5, 3, 7]
    outcomes = rollout(
        [Counting(end) for end in ends], [10, 25, 47], Plus(), max_steps=6, telemetry=telemetry
    )
    for outcome, seed, steps in zip(outcomes, [10, 25, 47], [5, 3, 6], strict=True):
        episode = outcome.episode
        assert episode is not None
        assert outcome.steps == len(episode.actions) == steps
        numbers = episode.frames[:, 0, 0, 0].astype(int)
        assert numbers[0] == seed == outcome.seed
        assert (numbers[1:] == numbers[:-1] + episode.actions[:, 1]).all()
        assert (episode.actions[:, 1] == 1 + numbers[:-1] % 10).all()
        assert (episode.rewards == numbers[1:] / 10).all()
        assert (episode.telemetry[:, 0] == numbers).all()
        assert outcome.return_ == pytest.approx(episode.rewards.sum())
    assert [outcome.terminated for outcome in outcomes] == [True, True, False]
    assert [outcome.truncated for outcome in outcomes] == [False, False, True]


def test_an_ended_episode_leaves_the_batch_and_changes_nothing_for_the_others() -> None:
    policy = Plus()
    together = rollout([Counting(2), Counting(9)], [1, 2], policy, max_steps=9)
    assert policy.asked[:2] == [[0, 1], [0, 1]]
    assert policy.asked[2:] == [[1]] * 7
    alone = rollout([Counting(9)], [2], Plus(), max_steps=9)
    assert together[1] == alone[0]


class Lap(Counting):
    """Finishes its lap with its last step."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        *result, _ = super().step(action)
        frame, reward, terminated, truncated = result
        return frame, reward, terminated, truncated, {"lap_finished": terminated}


def test_a_lap_is_finished_where_the_environment_says_so() -> None:
    finished, ran_out, without = rollout(
        [Lap(3), Lap(9), Counting(3)], [0, 0, 0], Plus(), max_steps=5
    )
    assert finished.lap_finished
    assert not ran_out.lap_finished
    assert not without.lap_finished
    assert finished.row(7)["lap_finished"] is True


class Tiles(Counting):
    """Reaches a tile of a track of 200 on the steps named, and pays CarRacing's rewards."""

    def __init__(self, tiles: set[int]) -> None:
        super().__init__()
        self.tiles = tiles

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        frame, _, terminated, truncated, info = super().step(action)
        return frame, -0.1 + 5.0 * (self.steps in self.tiles), terminated, truncated, info


def test_patience_ends_the_episode_and_charges_the_steps_left() -> None:
    (outcome,) = rollout([Tiles({3, 7})], [0], Plus(), max_steps=100, patience=10)
    assert outcome.steps == 17
    assert outcome.truncated
    assert not outcome.terminated
    assert outcome.return_ == pytest.approx(2 * 5.0 - 0.1 * 100)
    assert outcome.track_fraction == pytest.approx(2 / 200)
    (patient,) = rollout([Tiles({3, 7})], [0], Plus(), max_steps=100)
    assert patient.steps == 100
    assert patient.return_ == pytest.approx(outcome.return_)


def test_a_tile_in_time_renews_patience() -> None:
    (outcome,) = rollout([Tiles({10, 20, 30})], [0], Plus(), max_steps=35, patience=11)
    assert outcome.steps == 35
    assert outcome.return_ == pytest.approx(15 - 3.5)


class OnGrass(Tiles):
    """Has its rear wheels on the grass from the third step on, and reaches no tile."""

    def __init__(self) -> None:
        super().__init__(set())

    @property
    def car(self) -> SimpleNamespace:
        tiles = [1, 2, 0, 0] if self.steps >= 3 else [1, 1, 1, 1]
        return SimpleNamespace(wheels=[SimpleNamespace(road_tiles=count) for count in tiles])


def test_wheels_off_the_road_are_charged_and_no_reward_of_the_recording() -> None:
    keep: dict[str, Any] = {"max_steps": 5, "telemetry": telemetry}
    (free,) = rollout([OnGrass()], [0], Plus(), **keep)
    (charged,) = rollout([OnGrass()], [0], Plus(), off_road_cost=0.25, **keep)
    assert free.return_ == pytest.approx(-0.5)
    assert charged.return_ == pytest.approx(-0.5 - 3 * 2 * 0.25)
    assert charged.episode is not None
    assert charged.episode.rewards.sum() == pytest.approx(-0.5)
    # patience comes on top
    (lost,) = rollout([OnGrass()], [0], Plus(), max_steps=100, patience=4, off_road_cost=0.25)
    assert lost.steps == 4
    assert lost.return_ == pytest.approx(-10 - 2 * 2 * 0.25)


class Broken(Counting):
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        raise RuntimeError("world is\nlocked")


def test_an_environment_that_raises_is_one_line_with_its_seed() -> None:
    with pytest.raises(UserError, match=r"^environment: track seed 7 failed at step 0: world is l"):
        rollout([Broken()], [7], Plus(), max_steps=3)


def test_actions_that_are_not_finite_are_refused() -> None:
    class Lost(Plus):
        def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
            return super().act(frames, live) * np.nan

    with pytest.raises(UserError, match="not finite"):
        rollout([Counting()], [7], Lost(), max_steps=3)
