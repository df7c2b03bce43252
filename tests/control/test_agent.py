"""The policy sees h from before the step it acts on, and episodes do not touch one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.control.test_controller import config
from tests.drive.test_rollout import Counting
from wm.control.policy.agent import Agent
from wm.control.policy.controller import Controllers, parameter_count
from wm.drive.rollout import rollout
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.nn.compute import Compute

Z, H = 2, 6


class Numbers:
    """A vision model whose latents are the number on the frame, scaled, and its sine."""

    latent_size = Z
    compute = Compute(torch.device("cpu"), torch.float32)

    def encode(self, frames: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        number = torch.from_numpy(frames[:, 0, 0, 0].astype(np.float32))
        mu = torch.stack([number / 100, torch.sin(number)], dim=1)
        return mu, torch.zeros_like(mu)


def memory() -> MDNRNN:
    torch.manual_seed(0)
    return MDNRNN(Z, MdnRnnConfig(hidden_size=H, mixtures=2)).eval().requires_grad_(False)


def agent(episodes: int, candidates: int = 1, inputs: str = "zh", **other: Any) -> Agent:
    chosen = config(inputs).model_copy(update=other)
    size = parameter_count(chosen, Z, H)
    vectors = np.random.default_rng(0).normal(size=(candidates, size))
    index = np.repeat(np.arange(candidates), episodes // candidates)
    noise = torch.Generator().manual_seed(0)
    vision: Any = Numbers()
    return Agent(vision, memory() if inputs == "zh" else None, chosen, vectors, index, noise)


def frames(numbers: list[int]) -> np.ndarray:
    return np.stack([np.full((64, 64, 3), number, np.uint8) for number in numbers])


def test_the_controller_acts_on_h_from_before_z_and_action_are_taken_in() -> None:
    policy, model = agent(1), memory()
    policy.begin(1)
    vectors = np.random.default_rng(0).normal(size=(1, parameter_count(config(), Z, H)))
    controllers = Controllers(torch.from_numpy(vectors.astype(np.float32)), Z + H, 0)
    numbers = [3, 17, 4, 99]
    actions = [policy.act(frames([n]), np.array([0]))[0] for n in numbers]
    z = Numbers().encode(frames(numbers))[0]
    taken = torch.from_numpy(np.stack(actions))
    for t in range(4):
        # h before step t, by the sequence over steps 0 .. t - 1
        h = torch.zeros(1, H)
        if t:
            h = model.sequence(z[None, :t], taken[None, :t])[1][0]
        expected = controllers.act(torch.cat([z[t : t + 1], h], dim=1))[0]
        np.testing.assert_allclose(actions[t], expected.numpy(), atol=1e-5)
    # and the h after it would have given something else
    late = controllers.act(torch.cat([z[3:4], model.sequence(z[None], taken[None])[1][0]], 1))
    assert np.abs(actions[3] - late[0].numpy()).max() > 1e-3


@pytest.mark.parametrize("inputs", ["z", "zh"])
def test_batched_candidates_act_as_they_do_alone(inputs: str) -> None:
    class Gas(Counting):
        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
            return super().step(100 * action)

    def returns(policy: Agent, count: int) -> list[float]:
        envs = [Gas(3 + i) for i in range(count)]
        outcomes = rollout(envs, [5 + i for i in range(count)], policy, max_steps=9)
        return [outcome.return_ for outcome in outcomes]

    together = agent(6, candidates=3, inputs=inputs)
    actions = []
    together.begin(6)
    numbers = [[1, 2, 3, 4, 5, 6], [9, 8, 7, 6, 5, 4], [30, 20, 10, 40, 50, 60]]
    for step in numbers:
        actions.append(together.act(frames(step), np.arange(6)))
    for i in range(6):
        alone = agent(6, candidates=3, inputs=inputs)
        alone.begin(6)
        # the others have ended after the first step
        acts = [alone.act(frames(numbers[0]), np.arange(6))[i]]
        acts += [alone.act(frames([step[i]]), np.array([i]))[0] for step in numbers[1:]]
        np.testing.assert_allclose(acts, [step[i] for step in actions], atol=1e-5)
    driven = returns(agent(4, inputs=inputs), 4)
    assert driven == returns(agent(4, inputs=inputs), 4)
    still = [(5 + i) * (3 + i) / 10 for i in range(4)]  # without any gas
    assert all(got > least for got, least in zip(driven, still, strict=True))


def test_sampled_z_does_not_shift_when_another_episode_ends() -> None:
    def last(live: list[int]) -> np.ndarray:
        policy = agent(3, sample_z=True)
        policy.begin(3)
        policy.act(frames([1, 2, 3]), np.arange(3))
        return policy.act(frames([7] * len(live)), np.array(live))[-1]

    np.testing.assert_allclose(last([0, 1, 2]), last([2]), atol=1e-5)
    fixed = agent(3)
    fixed.begin(3)
    fixed.act(frames([1, 2, 3]), np.arange(3))
    assert np.abs(last([2]) - fixed.act(frames([7]), np.array([2]))[0]).max() > 1e-3


def test_z_alone_needs_no_memory_and_zh_does() -> None:
    with pytest.raises(AssertionError, match="need a memory"):
        Agent(Numbers(), None, config(), np.zeros((1, 1)), np.zeros(1, int), torch.Generator())  # type: ignore[arg-type]
