"""The policies that collect: what the sources did, and what keeps to the road."""

from __future__ import annotations

import numpy as np

from wm import exploration, seeding
from wm.exploration import GUSTS, Drift, Exploration, Gusts, road_ahead

GRASS = np.full((64, 64, 3), (102, 204, 102), np.uint8)


def actions(driver: exploration.Driver, steps: int, frame: np.ndarray = GRASS) -> np.ndarray:
    return np.stack([driver(frame) for _ in range(steps)])


def gust(action: np.ndarray) -> str:
    steer, gas, brake = action
    if steer:
        return "right" if steer > 0 else "left"
    return "gas" if gas else "brake" if brake else "coast"


def test_gusts_start_with_full_gas_then_hold_a_random_action_for_five_steps() -> None:
    drawn = actions(Gusts(seeding.generator(0, "test")), 5020)
    assert (drawn[:20] == [0, 1, 0]).all()
    assert not (drawn[20] == [0, 1, 0]).all()
    held = drawn[20:].reshape(-1, 5, 3)
    assert (held == held[:, :1]).all()
    names = [gust(action) for action in held[:, 0]]
    shares = np.array([names.count(name) for name in GUSTS]) / len(names)
    assert np.abs(shares - exploration.GUST_WEIGHTS).max() < 0.03
    assert len(np.unique(held[:, 0], axis=0)) > 800  # forces are continuous


def test_actions_stay_in_their_ranges_and_drift_is_smooth_and_forward() -> None:
    means = []
    for index in range(20):
        drawn = actions(Drift(seeding.generator(0, "test", index)), 500)
        assert drawn.dtype == np.float32
        assert (drawn >= [-1, 0, 0]).all()
        assert (drawn <= 1).all()
        steer = drawn[:, 0]
        assert np.corrcoef(steer[1:], steer[:-1])[0, 1] > 0.8
        means.append(drawn.mean(axis=0))
    assert np.mean(means, axis=0)[1] > 2 * np.mean(means, axis=0)[2]


def test_drift_is_drawn_to_the_road() -> None:
    left, right = GRASS.copy(), GRASS.copy()
    left[20:50, 5:20] = right[20:50, 40:55] = (105, 105, 105)
    assert road_ahead(left) < -0.3
    assert road_ahead(right) > 0.3
    assert road_ahead(GRASS) == 0
    for frame, sign in ((left, -1), (right, 1)):
        steers = [
            actions(Drift(seeding.generator(1, "test", i)), 300, frame)[:, 0].mean()
            for i in range(20)
        ]
        assert sign * np.mean(steers) > 0.2


def test_an_episodes_actions_do_not_depend_on_the_batch() -> None:
    def explore(ids: list[int]) -> np.ndarray:
        streams = [seeding.generator(3, "collect", id_) for id_ in ids]
        policy = Exploration([exploration.driver(stream, 0.5) for stream in streams])
        policy.begin(len(ids))
        frames = np.stack([GRASS] * len(ids))
        return np.stack([policy.act(frames, np.arange(len(ids))) for _ in range(50)])

    together = explore(list(range(10)))
    assert (together[:, 7] == explore([7])[:, 0]).all()
    assert not (together[:, 7] == together[:, 6]).all()


def test_the_mix_is_a_share() -> None:
    kinds = [type(exploration.driver(seeding.generator(0, "mix", i), 0.3)) for i in range(1000)]
    assert 0.25 < kinds.count(Gusts) / 1000 < 0.35
