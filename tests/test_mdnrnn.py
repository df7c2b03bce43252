"""The memory against torch.distributions, step against sequence, targets against a simple world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributions

from wm import mdnrnn, seeding, training
from wm.latents import LatentDataset, LatentEpisode, training_batch
from wm.mdnrnn import MDNRNN, MdnRnnConfig, MdnRnnLearner, Mixture, nll, sample
from wm.scratch import Checkpoint

CPU = torch.device("cpu")


def no_autocast() -> torch.autocast:
    return torch.autocast("cpu", enabled=False)


def mixture(batch: int, steps: int, size: int = 3, components: int = 4) -> Mixture:
    generator = torch.Generator().manual_seed(batch * 100 + steps)
    raw = torch.randn(3, batch, steps, components, size, generator=generator)
    return Mixture(torch.log_softmax(raw[0], 2), raw[1], raw[2])


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 5), (4, 1), (4, 5)])
def test_nll_is_that_of_torch_distributions(batch: int, steps: int) -> None:
    params = mixture(batch, steps)
    target = torch.randn(batch, steps, 3, generator=torch.Generator().manual_seed(1))
    reference = distributions.MixtureSameFamily(
        distributions.Categorical(logits=params.logpi.mT),
        distributions.Normal(params.mean.mT, params.logstd.mT.exp()),
    )
    expected = -reference.log_prob(target).sum(-1)
    result = nll(params, target)
    assert result.shape == (batch, steps)
    torch.testing.assert_close(result, expected)


def test_nll_refuses_a_target_that_would_broadcast() -> None:
    with pytest.raises(AssertionError):
        nll(mixture(4, 5), torch.zeros(4, 1, 3))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_samples_have_the_mixtures_moments(temperature: float) -> None:
    one = mixture(1, 1)
    many = Mixture(*(part.expand(20_000, 1, -1, -1) for part in one))
    drawn = sample(many, torch.Generator().manual_seed(0), temperature)[:, 0]
    weights = torch.softmax(one.logpi[0, 0] / temperature, 0)
    mean = (weights * one.mean[0, 0]).sum(0)
    variance = one.logstd[0, 0].exp() ** 2 * temperature
    second = (weights * (variance + one.mean[0, 0] ** 2)).sum(0)
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.1, rtol=0.05)
    torch.testing.assert_close((drawn**2).mean(0), second, atol=0.3, rtol=0.1)


def test_the_expectation_is_the_mean_of_the_samples() -> None:
    one = mixture(1, 1)
    many = Mixture(*(part.expand(20_000, 1, -1, -1) for part in one))
    drawn = sample(many, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), mdnrnn.expectation(one)[0], atol=0.1, rtol=0.05)


def test_a_step_is_a_sequence_of_one() -> None:
    torch.manual_seed(0)
    model = MDNRNN(4, MdnRnnConfig(hidden_size=16, mixtures=2))
    z, action = torch.randn(3, 7, 4), torch.randn(3, 7, 3)
    with torch.inference_mode():
        whole, last = model.sequence(z, action)
        state = model.begin(3)
        for t in range(7):
            state = model.advance(z[:, t], action[:, t], state)
            step = model.predict(state[0][:, None])
            for a, b in zip((*step.mixture, *step[1:]), (*whole.mixture, *whole[1:]), strict=True):
                torch.testing.assert_close(a[:, 0], b[:, t])
    torch.testing.assert_close(state, last)


def world(episodes: int = 12, steps: int = 30) -> list[LatentEpisode]:
    """z' = z + action; the reward is the first latent after the step; half of them terminate."""
    result = []
    for index in range(episodes):
        generator = seeding.generator(0, "world", index)
        actions = generator.uniform(-1, 1, (steps + index, 3)).astype(np.float32)
        mu = np.concatenate([np.zeros((1, 3)), actions.cumsum(0)]).astype(np.float32)
        logvar = np.full_like(mu, -12.0)
        result.append(LatentEpisode(mu, logvar, actions, mu[1:, 0], index % 2 == 0))
    return result


def learner(hidden_size: int = 24) -> MdnRnnLearner:
    torch.manual_seed(seeding.integer(0, "weights"))
    return MdnRnnLearner(
        MDNRNN(3, MdnRnnConfig(hidden_size=hidden_size, mixtures=2)), 1e-2, 1.0, no_autocast()
    )


def test_the_heads_learn_the_step_that_they_are_asked_about() -> None:
    """Reward and done of step t must be predictable from (z[t], a[t]) and nothing later."""
    ends = []
    for index in range(40):  # half of them terminate, by an action that nothing announces
        generator = seeding.generator(1, "world", index)
        actions = generator.uniform(-1, 1, (4 + index % 7, 3)).astype(np.float32)
        actions[:, 1] = -0.5
        actions[-1, 1] = 0.9 if index % 2 == 0 else -0.5
        mu = np.concatenate([np.zeros((1, 3)), actions]).astype(np.float32)
        logvar = np.full_like(mu, -12.0)
        ends.append(LatentEpisode(mu, logvar, actions, actions[:, 2], index % 2 == 0))
    dataset, memory = LatentDataset(ends, 8), learner(48)
    noise = torch.Generator().manual_seed(0)
    for step in range(300):
        memory.step(training_batch(dataset, 16, 0, step, CPU), noise)
    batch = dataset.windows(np.arange(len(dataset)))
    with torch.inference_mode():
        prediction, _ = memory.model.sequence(batch.mu[:, :-1], batch.action)
    there = batch.mask.bool()
    assert 0 < batch.done.sum() < len(batch.done)
    probability, done = torch.sigmoid(prediction.done_logit)[there], batch.done[there].bool()
    assert probability[done].mean() > 0.6
    assert probability[~done].mean() < 0.1
    assert (prediction.reward - batch.action[..., 2])[there].abs().mean() < 0.1


def test_it_learns_an_additive_world_better_than_the_last_value_does() -> None:
    dataset, memory = LatentDataset(world(), 16), learner()
    noise = torch.Generator().manual_seed(0)
    rows = [memory.step(training_batch(dataset, 8, 0, step, CPU), noise) for step in range(200)]
    # copying z would leave an error of variance 1/3: 0.87 nats a dimension
    assert float(rows[-1]["nll"]) < 0.3 < float(rows[0]["nll"])


def test_masked_steps_change_no_loss() -> None:
    short = world(1, steps=5)
    memory = learner()
    logs = []
    for length in (5, 9):
        batch = LatentDataset(short, length).windows(np.array([0]))
        batch = batch._replace(logvar=torch.full_like(batch.mu, -100.0))
        assert batch.mask.sum() == 5
        logs.append(mdnrnn.losses(memory.model, batch, torch.Generator(), no_autocast()))
    torch.testing.assert_close(logs[0], logs[1])


def test_z_is_drawn_anew_from_its_posterior() -> None:
    dataset, memory = LatentDataset(world(), 16), learner()
    batch = dataset.windows(np.arange(4))._replace(logvar=torch.zeros(4, 17, 3))
    values = [
        mdnrnn.losses(memory.model, batch, noise, no_autocast())["nll"].item()
        for noise in (torch.Generator().manual_seed(seed) for seed in (0, 0, 1))
    ]
    assert values[0] == values[1] != values[2]


def test_the_reward_of_leaving_the_playfield_is_clipped() -> None:
    dataset, memory = LatentDataset(world(), 16), learner()
    batch = dataset.windows(np.arange(4))
    low = batch._replace(reward=torch.full_like(batch.reward, -100.0))
    floor = batch._replace(reward=torch.full_like(batch.reward, -1.0))
    results = [
        mdnrnn.losses(memory.model, b, torch.Generator().manual_seed(0), no_autocast())["reward"]
        for b in (low, floor)
    ]
    assert results[0] == results[1]


def train(folder: Path, steps: int, stop_at: int | None = None) -> dict[str, torch.Tensor]:
    """Trains in the checkpoint of `folder`, dying at step `stop_at`."""
    dataset, memory = LatentDataset(world(), 8), learner()

    class DiedError(Exception):
        pass

    def batch(step: int) -> mdnrnn.Batch:
        if step == stop_at:
            raise DiedError
        return training_batch(dataset, 4, 0, step, CPU)

    def validate() -> dict[str, float]:
        return memory.validate(iter([dataset.windows(np.arange(6))]))

    checkpoint = Checkpoint("rnn", {"folder": str(folder)}, [])
    checkpoint.due = lambda: True  # type: ignore[method-assign]
    with checkpoint:
        try:
            training.train(
                memory,
                batch,
                validate,
                steps=steps,
                validate_every=5,
                seed=0,
                checkpoint=checkpoint,
                title="test",
            )
        except DiedError:
            assert stop_at is not None
    return memory.model.state_dict()


def test_training_is_bitwise_repeatable_and_resumable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    torch.set_num_threads(1)
    whole, again = train(tmp_path / "a", 12), train(tmp_path / "b", 12)
    train(tmp_path / "c", 12, stop_at=7)
    resumed = train(tmp_path / "c", 12)
    shorter = train(tmp_path / "d", 11)
    for name, weight in whole.items():
        assert torch.equal(weight, again[name]), name
        assert torch.equal(weight, resumed[name]), name
    assert not torch.equal(whole["lstm.weight_hh_l0"], shorter["lstm.weight_hh_l0"])
