"""The fast environment against gymnasium's CarRacing, step by step."""

import gc
import resource
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.box2d.car_racing import CarRacing
from gymnasium.error import InvalidAction
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from tests.env.drivers import Driver, lap, leave, spin, wander
from verify.soak import car_state
from wm.core.car_racing import ROAD_HALF_WIDTH
from wm.drive.telemetry import telemetry, wheels_off_road
from wm.env.fast.environment import make
from wm.env.official import preprocess

DRIVERS: list[Driver] = [lap, spin, leave, wander]


class SparseCarRacing(CarRacing):
    """gymnasium's environment, drawing only when `drawing` is set."""

    drawing = False

    def _render(self, mode: str) -> Any:
        return super()._render(mode) if self.drawing else None


def test_physics_rewards_and_ends_are_bit_identical() -> None:
    fast: Any = make()
    official = SparseCarRacing()
    laps = exits = 0
    off_track = spun = braked = False
    for seed in range(24):
        drive = DRIVERS[seed % 4]
        rng = np.random.default_rng(seed)
        fast.reset(seed=seed)
        official.reset(seed=seed)
        assert fast.unwrapped.track == official.track
        for step in range(1500):
            measured = telemetry(fast)
            off_track |= abs(measured[3]) > ROAD_HALF_WIDTH + 5
            spun |= abs(measured[4]) > 3.0
            action = drive(step, measured, rng)
            braked |= action[2] > 0.9 and measured[0] > 20
            _, reward, *end, info = fast.step(action)
            _, expected, *expected_end, expected_info = official.step(action)
            where = f"{drive.__name__}, seed {seed}, step {step}"
            assert (reward, end, info) == (expected, expected_end, expected_info), where
            assert car_state(fast) == car_state(official), where
            on_grass = sum(not wheel.tiles for wheel in official.car.wheels)
            assert wheels_off_road(fast) == on_grass, where
            if any(end):
                laps += info["lap_finished"]
                exits += not info["lap_finished"]
                break
    assert laps >= 3
    assert exits >= 3
    assert off_track
    assert spun
    assert braked


# track 298 has kerbs of no width
@pytest.mark.parametrize(
    ("seed", "drive"), [(0, lap), (1, spin), (2, leave), (3, wander), (298, lap)]
)
def test_pixels_are_nearly_those_of_the_official_path(seed: int, drive: Driver) -> None:
    fast, official = make(), SparseCarRacing()
    rng = np.random.default_rng(seed)
    official.drawing = True
    frame, _ = fast.reset(seed=seed)
    observation, _ = official.reset(seed=seed)
    zoom_in: list[float] = []
    driving: list[float] = []
    for step in range(600):
        if official.drawing:
            difference = np.abs(frame.astype(int) - preprocess(observation)).mean()
            (zoom_in if step < 50 else driving).append(difference)
        action = drive(step, telemetry(fast), rng)
        official.drawing = step % (2 if step < 50 else 10) == 1
        frame, _, done, *_ = fast.step(action)
        observation, *_ = official.step(action)
        if done:
            break
    assert len(zoom_in) == 25
    assert len(driving) >= 20
    assert np.mean(driving) <= 0.5
    assert np.mean(zoom_in) <= 0.6
    assert max(zoom_in + driving) <= 1.6


def play(env: gymnasium.Env, seed: int, steps: int) -> list[Any]:
    played: list[Any] = [env.reset(seed=seed)[0]]
    for step in range(steps):
        frame, reward, done, *_ = env.step(lap(step, telemetry(env), np.random.default_rng(0)))
        played += [frame, reward]
        if done:
            break
    return played


def test_an_episode_does_not_depend_on_those_before() -> None:
    used = make()
    for seed in (5, 6):
        play(used, seed, 200)
    for expected, got in zip(play(make(), 7, 1000), play(used, 7, 1000), strict=True):
        assert np.array_equal(expected, got)


def test_a_frame_is_the_caller_s_to_keep() -> None:
    env = make()
    first, _ = env.reset(seed=1)
    kept = first.copy()
    for step in range(5):
        env.step(lap(step, telemetry(env), np.random.default_rng(0)))
    assert np.array_equal(first, kept)


def resident() -> int:
    """KiB of this process in memory now; its most so far may be of a test before."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def test_resets_do_not_leak() -> None:
    env = make()

    def grown(resets: int) -> int:
        before = resident()
        for i in range(resets):
            env.reset(seed=i % 3)
            env.step(np.array([0, 1, 0], np.float32))
        gc.collect()
        return resident() - before

    grown(100)
    bodies = sum(type(held).__name__ == "b2Body" for held in gc.get_objects())
    assert grown(1000) < 1000  # KB; one car a reset would be 3,000, one world 100,000
    assert sum(type(held).__name__ == "b2Body" for held in gc.get_objects()) == bodies


def test_gymnasium_s_own_checks_pass() -> None:
    check_env(make(), skip_render_check=True)


@pytest.mark.at_large
@given(
    actions=st.lists(
        st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 3),
        min_size=1, max_size=20,
    ),
    seed=st.integers(0, 3),
)  # fmt: skip
def test_any_finite_action_does_what_it_does_in_gymnasium(
    actions: list[tuple[float, float, float]], seed: int
) -> None:
    fast: Any = make()
    official = SparseCarRacing()
    fast.reset(seed=seed)
    official.reset(seed=seed)
    for action in np.array(actions, np.float32):
        _, reward, *end, _ = fast.step(action)
        _, expected, *expected_end, _ = official.step(action)
        assert (reward, end) == (expected, expected_end)
        assert car_state(fast) == car_state(official)


@pytest.mark.parametrize(
    "action", [[np.nan, 0, 0], [0, np.inf, 0], [0, 0, -np.inf], [0, 0], [[0, 0, 0]], 0.0, []]
)
def test_what_is_no_action_is_refused_and_changes_nothing(action: Any) -> None:
    env: Any = make()
    env.reset(seed=0)
    before = car_state(env)
    with pytest.raises(InvalidAction, match="3 finite numbers"):
        env.step(np.array(action, np.float32))
    assert car_state(env) == before
