"""The VAE: shapes, its loss, that it learns, and that it repeats."""

from __future__ import annotations

import copy

import pytest
import torch

from wm.nn.compute import Compute
from wm.vision.models.vae.learner import Settings, VaeLearner, create_learner
from wm.vision.models.vae.networks import Config, build
from wm.vision.networks.trained import Autoencoder
from wm.vision.training.losses import squared_error
from wm.vision.training.schedule import Schedule

CPU = Compute(torch.device("cpu"), torch.float32)
CONFIG = Config(latent_size=8, free_bits=0.5)


def learner(steps: int = 100, rate: float = 1e-3) -> VaeLearner:
    return VaeLearner(CONFIG, CPU, Schedule(rate, steps, decay=False), seed=0)


def noise(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def frames(n: int) -> torch.Tensor:
    """Grass with a road of its own slope on each frame."""
    x = torch.tensor([0.4, 0.8, 0.4])[None, :, None, None].repeat(n, 1, 64, 64)
    for i in range(n):
        for row in range(64):
            left = 10 + 4 * i + (row * (i - n // 2)) // 16
            x[i, :, row, max(left, 0) : left + 14] = 0.4
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("n", [1, 3])
def test_shapes_and_range(n: int) -> None:
    encoder, decoder = build(CONFIG)
    mu, logvar = encoder(frames(n))
    assert mu.shape == logvar.shape == (n, 8)
    x = decoder(mu)
    assert x.shape == (n, 3, 64, 64)
    assert 0 <= x.min().item() <= x.max().item() <= 1


def test_the_papers_number_of_parameters() -> None:
    """4,348,547 with 32 latent dimensions, as the paper's table of models says."""
    assert sum(p.numel() for p in Autoencoder(*build(Config())).parameters()) == 4_348_547


def test_the_kl_is_weighted() -> None:
    def mean_kl(weight: float) -> float:
        config = Config(latent_size=8, channels=4, free_bits=0.0, kl_weight=weight)
        subject = VaeLearner(config, CPU, Schedule(1e-3, 100, decay=False), seed=0)
        for step in range(60):
            losses = subject.step(frames(4), noise(step))
        return float(losses["kl"])

    assert mean_kl(10.0) < mean_kl(0.1)


def test_overfits_eight_frames() -> None:
    """The best constant picture leaves four times the error asked for here."""
    x, subject = frames(8), learner()
    constant = float(squared_error(x, x.mean(dim=0, keepdim=True).expand_as(x)))
    for step in range(150):
        logs = subject.step(x, noise(step))
    assert float(logs["squared_error"]) < constant / 4


def test_the_same_bits_twice_and_after_a_resume() -> None:
    x, first, second, resumed = frames(4), learner(), learner(), learner()
    for step in range(4):
        if step == 2:
            resumed.load_state_dict(copy.deepcopy(first.state_dict()))
        for subject in (first, second) if step < 2 else (first, second, resumed):
            subject.step(x, noise(step))
    for subject in (second, resumed):
        for name, tensor in first.model.state_dict().items():
            assert torch.equal(tensor, subject.model.state_dict()[name]), name


def test_the_seed_decides_the_first_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    same, other = learner(), VaeLearner(CONFIG, CPU, Schedule(1e-3, 9, True), seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(same.model.encoder.heads.weight, learner().model.encoder.heads.weight)
    assert not torch.equal(same.model.encoder.heads.weight, other.model.encoder.heads.weight)


def test_a_learner_has_what_the_stages_parameters_ask_for() -> None:
    settings = Settings(
        latent_size=6, channels=4, kl_weight=2.0, learning_rate=0.5, decay=True,
        steps=100, batch_size=3, validate_every=2, held_out_frames=5,
    )  # fmt: skip
    subject = create_learner(settings, CPU, seed=0)
    assert subject.config == Config(latent_size=6, channels=4, kl_weight=2.0)
    assert subject.schedule == Schedule(0.5, 100, True)
