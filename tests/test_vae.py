"""The VAE: shapes, its loss against torch.distributions, that it learns, and that it repeats."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from wm import vae
from wm.compute import Compute

CPU = Compute(torch.device("cpu"), torch.float32)
CONFIG = vae.VaeConfig(latent_size=8, free_bits=0.5)


def learner(steps: int = 100, rate: float = 1e-3) -> vae.VaeLearner:
    return vae.VaeLearner(CONFIG, CPU, vae.Schedule(rate, steps, decay=False), seed=0)


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
    model = vae.VAE(CONFIG)
    mu, logvar = model.encoder(frames(n))
    assert mu.shape == logvar.shape == (n, 8)
    x = model.decoder(mu)
    assert x.shape == (n, 3, 64, 64)
    assert 0 <= x.min().item() <= x.max().item() <= 1


def test_the_papers_number_of_parameters() -> None:
    """4,348,547 with 32 latent dimensions, as the paper's table of models says."""
    assert sum(p.numel() for p in vae.VAE(vae.VaeConfig()).parameters()) == 4_348_547


def test_the_squared_error_is_the_papers_unless_kerbs_are_weighted() -> None:
    x, other = torch.rand(2, 3, 3, 64, 64, generator=noise(0))
    by_hand = (x - other).square().sum() / 3
    torch.testing.assert_close(vae.squared_error(x, other), by_hand)
    white, red = (1.0, 1.0, 1.0), (1.0, 0.0, 0.0)
    road, grass = (0.4, 0.4, 0.4), (0.4, 0.9, 0.4)
    for colour, weight in ((white, 5), (red, 5), (road, 1), (grass, 1)):
        x = torch.tensor(colour)[None, :, None, None].expand(2, 3, 4, 4)
        assert vae.squared_error(x, x + 0.1, 4.0) == pytest.approx(weight * 48 * 0.01, rel=1e-4)


def test_the_kl_is_weighted() -> None:
    def mean_kl(weight: float) -> float:
        config = vae.VaeConfig(latent_size=8, channels=4, free_bits=0.0, kl_weight=weight)
        subject = vae.VaeLearner(config, CPU, vae.Schedule(1e-3, 100, decay=False), seed=0)
        for step in range(60):
            losses = subject.step(frames(4), noise(step))
        return float(losses["kl"])

    assert mean_kl(10.0) < mean_kl(0.1)


@pytest.mark.parametrize("n", [1, 5])
def test_kl_is_that_of_torch_distributions(n: int) -> None:
    mu, logvar = torch.randn(2, n, 8, generator=noise(0))
    expected = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(vae.kl_divergence(mu, logvar), expected)
    assert vae.kl_loss(mu, logvar, 0.0) == pytest.approx(float(expected.sum() / n), rel=1e-5)


def test_free_bits_cost_nothing_and_pull_nothing() -> None:
    mu = torch.tensor([[0.1, 3.0]], requires_grad=True)  # 0.005 and 4.5 nats
    loss = vae.kl_loss(mu, torch.zeros(1, 2), 0.5)
    assert float(loss) == pytest.approx(5.0)
    (gradient,) = torch.autograd.grad(loss, mu)
    torch.testing.assert_close(gradient, torch.tensor([[0.0, 3.0]]))


def test_sample_has_the_moments_and_the_gradients_of_the_latent() -> None:
    mu, logvar = torch.full((20_000, 1), 2.0, requires_grad=True), torch.full((20_000, 1), -1.0)
    z = vae.sample(mu, logvar, noise(1))
    assert float(z.mean()) == pytest.approx(2.0, abs=0.02)
    assert float(z.var()) == pytest.approx(0.3679, abs=0.02)
    (gradient,) = torch.autograd.grad(z.sum(), mu)
    assert bool((gradient == 1).all())


def test_squared_error_is_a_sum_per_frame() -> None:
    x = frames(4)
    assert float(vae.squared_error(x, x + 0.5)) == pytest.approx(0.25 * 3 * 64 * 64)


def test_schedule() -> None:
    falling, constant = vae.Schedule(2.0, 100, True), vae.Schedule(2.0, 100, False)
    assert falling.at(0) == 2.0
    assert falling.at(50) == pytest.approx(1.0)
    assert 0 < falling.at(99) < 0.001
    assert constant.at(99) == 2.0


def test_overfits_eight_frames() -> None:
    """The best constant picture leaves four times the error asked for here."""
    x, subject = frames(8), learner()
    constant = float(vae.squared_error(x, x.mean(dim=0, keepdim=True).expand_as(x)))
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
    same, other = learner(), vae.VaeLearner(CONFIG, CPU, vae.Schedule(1e-3, 9, True), seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(same.model.encoder.heads.weight, learner().model.encoder.heads.weight)
    assert not torch.equal(same.model.encoder.heads.weight, other.model.encoder.heads.weight)
