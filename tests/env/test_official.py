"""The official path: gymnasium's CarRacing, its observations brought to 64x64."""

import gymnasium
import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing

from wm.env.official import make, preprocess


def test_preprocess_is_an_area_resize_of_the_rows_above_the_indicators() -> None:
    observation = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    fine = observation[:84].astype(np.float64).repeat(16, axis=0).repeat(2, axis=1)
    exact = fine.reshape(64, 21, 64, 3, 3).mean(axis=(1, 3))
    frame = preprocess(observation)
    assert frame.shape == (64, 64, 3)
    assert frame.dtype == np.uint8
    assert np.abs(frame - exact).max() <= 0.501


def test_official_is_gymnasium_s_environment_with_frames() -> None:
    ours, theirs = make(), gymnasium.make("CarRacing-v3")
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
    env = CarRacing()
    env.reset(seed=0)
    with_bar = env._render("state_pixels")
    env._render_indicators = lambda width, height: None  # type: ignore[method-assign]
    without = env._render("state_pixels")
    assert not np.array_equal(with_bar, without)
    # the score's digits and the bar begin below row 84, but for the smoothing of row 83
    assert np.array_equal(with_bar[:83], without[:83])
