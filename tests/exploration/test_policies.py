"""The policies that collect: what the sources did, and what keeps to the road."""

from __future__ import annotations

import numpy as np

from wm.core import seeding
from wm.exploration.policies import (
    MOVE_WEIGHTS,
    MOVES,
    EpisodePolicy,
    Exploration,
    RandomPolicy,
    RoadFollower,
    draw_policy,
    road_ahead,
)

GRASS = np.full((64, 64, 3), (102, 204, 102), np.uint8)


def actions(policy: EpisodePolicy, steps: int, frame: np.ndarray = GRASS) -> np.ndarray:
    return np.stack([policy(frame) for _ in range(steps)])


def move(action: np.ndarray) -> str:
    steer, gas, brake = action
    if steer:
        return "right" if steer > 0 else "left"
    return "gas" if gas else "brake" if brake else "coast"


def test_the_random_policy_starts_with_full_gas_then_holds_a_random_action_for_five_steps() -> None:
    drawn = actions(RandomPolicy(seeding.generator(0, "test", "policy")), 5020)
    assert (drawn[:20] == [0, 1, 0]).all()
    assert not (drawn[20] == [0, 1, 0]).all()
    held = drawn[20:].reshape(-1, 5, 3)
    assert (held == held[:, :1]).all()
    names = [move(action) for action in held[:, 0]]
    shares = np.array([names.count(name) for name in MOVES]) / len(names)
    assert np.abs(shares - MOVE_WEIGHTS).max() < 0.03
    assert len(np.unique(held[:, 0], axis=0)) > 800  # forces are continuous


def test_actions_stay_in_their_ranges_and_the_road_followers_are_smooth_and_forward() -> None:
    means = []
    for index in range(20):
        drawn = actions(RoadFollower(seeding.generator(0, "test", "policy", index)), 500)
        assert drawn.dtype == np.float32
        assert (drawn >= [-1, 0, 0]).all()
        assert (drawn <= 1).all()
        steer = drawn[:, 0]
        assert np.corrcoef(steer[1:], steer[:-1])[0, 1] > 0.8
        means.append(drawn.mean(axis=0))
    assert np.mean(means, axis=0)[1] > 2 * np.mean(means, axis=0)[2]


def test_the_road_follower_is_drawn_to_the_road() -> None:
    left, right = GRASS.copy(), GRASS.copy()
    left[20:50, 5:20] = right[20:50, 40:55] = (105, 105, 105)
    assert road_ahead(left) < -0.3
    assert road_ahead(right) > 0.3
    assert road_ahead(GRASS) == 0
    for frame, sign in ((left, -1), (right, 1)):
        steers = [
            actions(RoadFollower(seeding.generator(1, "test", "policy", i)), 300, frame)[
                :, 0
            ].mean()
            for i in range(20)
        ]
        assert sign * np.mean(steers) > 0.2


def test_an_episodes_actions_do_not_depend_on_the_batch() -> None:
    def explore(ids: list[int]) -> np.ndarray:
        streams = [seeding.generator(3, "collect", "policy", id_) for id_ in ids]
        policy = Exploration([draw_policy(stream, 0.5) for stream in streams])
        policy.begin(len(ids))
        frames = np.stack([GRASS] * len(ids))
        return np.stack([policy.act(frames, np.arange(len(ids))) for _ in range(50)])

    together = explore(list(range(10)))
    assert (together[:, 7] == explore([7])[:, 0]).all()
    assert not (together[:, 7] == together[:, 6]).all()


def test_the_mix_is_a_share() -> None:
    kinds = [type(draw_policy(seeding.generator(0, "test", "mix", i), 0.3)) for i in range(1000)]
    assert 0.25 < kinds.count(RandomPolicy) / 1000 < 0.35
