"""The fast environment against gymnasium's CarRacing, step by step."""

import gc
import resource
from typing import Any

import gymnasium
import numpy as np
import pytest
from drivers import Driver, lap, leave, spin, wander
from gymnasium.envs.box2d.car_racing import CarRacing
from gymnasium.error import InvalidAction
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from verify.soak import car_state, resident_mib
from wm import track
from wm.car_racing import TELEMETRY, make, on_road, preprocess, telemetry

HALF_ROAD = 40 / 6
DRIVERS: list[Driver] = [lap, spin, leave, wander]


class SparseCarRacing(CarRacing):
    """gymnasium's environment, drawing only when `drawing` is set."""

    drawing = False

    def _render(self, mode: str) -> Any:
        return super()._render(mode) if self.drawing else None


def test_preprocess_is_an_area_resize_of_the_rows_above_the_indicators() -> None:
    observation = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    fine = observation[:84].astype(np.float64).repeat(16, axis=0).repeat(2, axis=1)
    exact = fine.reshape(64, 21, 64, 3, 3).mean(axis=(1, 3))
    frame = preprocess(observation)
    assert frame.shape == (64, 64, 3)
    assert frame.dtype == np.uint8
    assert np.abs(frame - exact).max() <= 0.501


def test_official_is_gymnasium_s_environment_with_frames() -> None:
    ours, theirs = make("official"), gymnasium.make("CarRacing-v3")
    assert ours.spec is not None
    assert ours.spec.id == "CarRacing-v3"
    assert type(ours.unwrapped) is CarRacing
    assert ours.spec.max_episode_steps == 1000
    frame, _ = ours.reset(seed=3)
    observation, _ = theirs.reset(seed=3)
    assert np.array_equal(frame, preprocess(observation))
    action = np.array([0.3, 0.5, 0.0], np.float32)
    frame, reward, *_ = ours.step(action)
    observation, expected, *_ = theirs.step(action)
    assert np.array_equal(frame, preprocess(observation))
    assert reward == expected


def test_the_indicators_do_not_reach_into_a_frame() -> None:
    env = SparseCarRacing()
    env.drawing = True
    env.reset(seed=0)
    with_bar = env._render("state_pixels")
    env._render_indicators = lambda width, height: None  # type: ignore[method-assign]
    without = env._render("state_pixels")
    assert not np.array_equal(with_bar, without)
    # the score's digits and the bar begin below row 84, but for the smoothing of row 83
    assert np.array_equal(with_bar[:83], without[:83])


def test_physics_rewards_and_ends_are_bit_identical() -> None:
    fast: Any = make("fast")
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
            off_track |= abs(measured[3]) > HALF_ROAD + 5
            spun |= abs(measured[4]) > 3.0
            action = drive(step, measured, rng)
            braked |= action[2] > 0.9 and measured[0] > 20
            _, reward, *end, info = fast.step(action)
            _, expected, *expected_end, expected_info = official.step(action)
            where = f"{drive.__name__}, seed {seed}, step {step}"
            assert (reward, end, info) == (expected, expected_end, expected_info), where
            assert car_state(fast) == car_state(official), where
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
    fast, official = make("fast"), SparseCarRacing()
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
    used = make("fast")
    for seed in (5, 6):
        play(used, seed, 200)
    for expected, got in zip(play(make("fast"), 7, 1000), play(used, 7, 1000), strict=True):
        assert np.array_equal(expected, got)


def test_a_frame_is_the_caller_s_to_keep() -> None:
    env = make("fast")
    first, _ = env.reset(seed=1)
    kept = first.copy()
    for step in range(5):
        env.step(lap(step, telemetry(env), np.random.default_rng(0)))
    assert np.array_equal(first, kept)


def test_a_cached_track_and_the_generator_after_it_are_the_same_as_new() -> None:
    track._cache.clear()
    official = SparseCarRacing()
    for seed in range(5):
        new_rng, cached_rng = np.random.default_rng(seed), np.random.default_rng(seed)
        new, cached = track.survey(new_rng), track.survey(cached_rng)
        assert new is cached
        track._cache.clear()
        again = track.survey(np.random.default_rng(seed))
        assert again.tiles == new.tiles
        assert again.polygons == new.polygons
        for ours, theirs in zip(new.texture.levels, again.texture.levels, strict=True):
            assert np.array_equal(ours, theirs)
        official.reset(seed=seed)
        assert official.track == new.tiles
        state = official.np_random.bit_generator.state
        assert new_rng.bit_generator.state == cached_rng.bit_generator.state == state
    for seed in range(track.CACHED_TRACKS + 3):
        track.survey(np.random.default_rng(seed))
    assert len(track._cache) == track.CACHED_TRACKS


def test_resets_do_not_leak() -> None:
    env = make("fast")

    def grown(resets: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in range(resets):
            env.reset(seed=i % 3)
            env.step(np.array([0, 1, 0], np.float32))
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    grown(100)
    bodies = sum(type(held).__name__ == "b2Body" for held in gc.get_objects())
    assert grown(1000) < 1000  # KB; one car a reset would be 3,000, one world 100,000
    assert sum(type(held).__name__ == "b2Body" for held in gc.get_objects()) == bodies


def test_new_tracks_leave_no_memory_behind() -> None:
    def after(seeds: range) -> float:
        for seed in seeds:
            track.survey(np.random.default_rng(seed))
        gc.collect()
        return resident_mib()

    settled = after(range(50))  # the cache is full
    assert after(range(50, 130)) - settled < 3  # MiB; the shapes of 80 tracks' tiles are 7


def test_telemetry_is_the_same_for_both_renderers() -> None:
    fast, official = make("fast"), make("official")
    fast.reset(seed=2)
    official.reset(seed=2)
    for step in range(20):
        assert np.array_equal(telemetry(fast), telemetry(official))
        action = wander(step, telemetry(fast), np.random.default_rng(step))
        fast.step(action)
        official.step(action)


@pytest.mark.parametrize("seed", range(6))
def test_telemetry_at_the_start_and_aside(seed: int) -> None:
    env: Any = make("fast")
    env.reset(seed=seed)
    start = dict(zip(TELEMETRY, telemetry(env).tolist(), strict=True))
    assert telemetry(env).dtype == np.float32
    for name in ("speed", "angular_velocity", "wheel_angle", "lateral_offset", "heading_error"):
        assert abs(start[name]) < 0.1, name
    hull = env.unwrapped.car.hull
    x, y = hull.position
    left = np.array([-np.cos(hull.angle), -np.sin(hull.angle)])
    for aside in (-5.0, -1.0, 1.0, 5.0):
        hull.position = (x + aside * left[0], y + aside * left[1])
        offset = telemetry(env)[3]
        assert offset == pytest.approx(start["lateral_offset"] + aside, abs=0.3)
    hull.position = (x, y)
    hull.angle += 0.25  # to the left
    assert telemetry(env)[4] == pytest.approx(start["heading_error"] + 0.25, abs=1e-4)


def test_curvature_ahead_is_the_track_s_turn() -> None:
    env: Any = make("fast")
    env.reset(seed=0)
    tiles = env.unwrapped.track
    hull = env.unwrapped.car.hull
    for i in range(0, len(tiles) - 10, 7):
        hull.position = tiles[i][2:4]
        turn = [(tiles[i + j + 1][1] - tiles[i + j][1]) for j in range(6)]
        turn = [(t + np.pi) % (2 * np.pi) - np.pi for t in turn]
        # 20 units are five and five sevenths tiles of 3.5
        expected = (sum(turn[:5]) + turn[5] * 5 / 7) / 20.0
        assert telemetry(env)[5] == pytest.approx(expected, abs=5e-3)


def test_gymnasium_s_own_checks_pass() -> None:
    check_env(make("fast"), skip_render_check=True)


def test_on_the_road_is_within_half_its_width() -> None:
    values = np.zeros((4, len(TELEMETRY)), np.float32)
    values[:, TELEMETRY.index("lateral_offset")] = [0, HALF_ROAD - 0.1, -HALF_ROAD - 0.1, 50]
    values[:, TELEMETRY.index("speed")] = [0, 50, 0, 0]
    assert on_road(values).tolist() == [True, True, False, False]


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
    fast: Any = make("fast")
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
    env: Any = make("fast")
    env.reset(seed=0)
    before = car_state(env)
    with pytest.raises(InvalidAction, match="3 finite numbers"):
        env.step(np.array(action, np.float32))
    assert car_state(env) == before
