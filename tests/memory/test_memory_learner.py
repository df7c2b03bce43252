"""How the MDN-RNN learns: targets against a simple world, and that it repeats and resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wm.core import seeding
from wm.memory.latents import LatentEpisode
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.memory.training.learner import MdnRnnLearner, losses
from wm.memory.training.windows import Batch, LatentDataset, training_batch
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.torch_serializer import TorchSerializer
from wm.training import loop

CPU = torch.device("cpu")


def no_autocast() -> torch.autocast:
    return torch.autocast("cpu", enabled=False)


def world(episodes: int = 12, steps: int = 30) -> list[LatentEpisode]:
    """z' = z + action; the reward is the first latent after the step; half of them terminate."""
    result = []
    for index in range(episodes):
        generator = seeding.generator(0, "test", "world", index)
        actions = generator.uniform(-1, 1, (steps + index, 3)).astype(np.float32)
        mu = np.concatenate([np.zeros((1, 3)), actions.cumsum(0)]).astype(np.float32)
        logvar = np.full_like(mu, -12.0)
        result.append(LatentEpisode(mu, logvar, actions, mu[1:, 0], index % 2 == 0))
    return result


def learner(hidden_size: int = 24) -> MdnRnnLearner:
    torch.manual_seed(seeding.integer(0, "test", "weights"))
    return MdnRnnLearner(
        MDNRNN(3, MdnRnnConfig(hidden_size=hidden_size, mixtures=2)), 1e-2, 1.0, no_autocast()
    )


def test_a_memory_that_was_loaded_trains_on() -> None:
    """cuDNN has no gradient of an LSTM in eval mode, in which a memory is loaded."""
    loaded = MDNRNN(3, MdnRnnConfig(hidden_size=4, mixtures=2)).eval()
    assert MdnRnnLearner(loaded, 1e-2, 1.0, no_autocast()).model.training


def test_the_heads_learn_the_step_that_they_are_asked_about() -> None:
    """Reward and done of step t must be predictable from (z[t], a[t]) and nothing later."""
    ends = []
    for index in range(40):  # half of them terminate, by an action that nothing announces
        generator = seeding.generator(1, "test", "world", index)
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
        batch = LatentDataset(short, length, longest=length).windows(np.array([0]))
        batch = batch._replace(logvar=torch.full_like(batch.mu, -100.0))
        assert batch.mask.shape == (1, length)
        assert batch.mask.sum() == 5
        logs.append(losses(memory.model, batch, torch.Generator(), no_autocast()))
    torch.testing.assert_close(logs[0], logs[1])


def test_gradients_are_clipped_by_value() -> None:
    clip = 1e-4
    memory = MdnRnnLearner(learner().model, 1e-2, clip, no_autocast())
    memory.step(training_batch(LatentDataset(world(), 16), 8, 0, 0, CPU), torch.Generator())
    gradients = torch.cat([weight.grad.flatten() for weight in memory.model.parameters()])
    assert gradients.abs().max() == torch.tensor(clip)
    assert (gradients.abs() == torch.tensor(clip)).sum() > 100  # a norm so small would allow one


def test_z_is_drawn_anew_from_its_posterior() -> None:
    dataset, memory = LatentDataset(world(), 16), learner()
    batch = dataset.windows(np.arange(4))._replace(logvar=torch.zeros(4, 17, 3))
    values = [
        losses(memory.model, batch, noise, no_autocast())["nll"].item()
        for noise in (torch.Generator().manual_seed(seed) for seed in (0, 0, 1))
    ]
    assert values[0] == values[1] != values[2]


def test_the_reward_of_leaving_the_playfield_is_clipped() -> None:
    dataset, memory = LatentDataset(world(), 16), learner()
    batch = dataset.windows(np.arange(4))
    low = batch._replace(reward=torch.full_like(batch.reward, -100.0))
    floor = batch._replace(reward=torch.full_like(batch.reward, -1.0))
    results = [
        losses(memory.model, b, torch.Generator().manual_seed(0), no_autocast())["reward"]
        for b in (low, floor)
    ]
    assert results[0] == results[1]


class DiedError(Exception):
    pass


def train(
    folder: Path, steps: int, stop_at: int | None = None
) -> tuple[dict[str, torch.Tensor], list[int]]:
    """Trains in the checkpoint of `folder`, dying at step `stop_at`; returns the weights and the
    steps whose batches were drawn."""
    dataset, memory, drawn = LatentDataset(world(), 8), learner(), list[int]()

    def batch(step: int) -> Batch:
        if step == stop_at:
            raise DiedError
        drawn.append(step)
        return training_batch(dataset, 4, 0, step, CPU)

    def validate() -> dict[str, float]:
        return memory.validate(iter([dataset.windows(np.arange(6))]))

    checkpoint = Checkpoint("rnn", {"folder": str(folder)}, [], TorchSerializer())
    checkpoint.due = lambda: True  # type: ignore[method-assign]
    with checkpoint:
        loop.train(
            memory,
            batch,
            validate,
            steps=steps,
            validate_every=5,
            seed=0,
            checkpoint=checkpoint,
            stage="test",
        )
    return memory.model.state_dict(), drawn


def test_training_is_bitwise_repeatable_and_resumable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    torch.set_num_threads(1)
    (whole, _), (again, _) = train(tmp_path / "a", 12), train(tmp_path / "b", 12)
    with pytest.raises(DiedError):
        train(tmp_path / "c", 12, stop_at=7)
    resumed, drawn = train(tmp_path / "c", 12)
    assert drawn == [7, 8, 9, 10, 11]
    shorter, _ = train(tmp_path / "d", 11)
    for name, weight in whole.items():
        assert torch.equal(weight, again[name]), name
        assert torch.equal(weight, resumed[name]), name
    assert not torch.equal(whole["lstm.weight_hh_l0"], shorter["lstm.weight_hh_l0"])
