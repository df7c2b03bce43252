"""The losses of a variational autoencoder, and the draw of its latents."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from wm.vision.training.losses import kl_loss, sample, squared_error


def noise(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def test_the_squared_error_is_the_papers_unless_kerbs_are_weighted() -> None:
    x, other = torch.rand(2, 3, 3, 64, 64, generator=noise(0))
    by_hand = (x - other).square().sum() / 3
    torch.testing.assert_close(squared_error(x, other), by_hand)
    white, red = (1.0, 1.0, 1.0), (1.0, 0.0, 0.0)
    road, grass = (0.4, 0.4, 0.4), (0.4, 0.9, 0.4)
    for colour, weight in ((white, 5), (red, 5), (road, 1), (grass, 1)):
        x = torch.tensor(colour)[None, :, None, None].expand(2, 3, 4, 4)
        assert squared_error(x, x + 0.1, 4.0) == pytest.approx(weight * 48 * 0.01, rel=1e-4)


def test_squared_error_is_a_sum_per_frame() -> None:
    x = torch.rand(4, 3, 64, 64, generator=noise(0))
    assert float(squared_error(x, x + 0.5)) == pytest.approx(0.25 * 3 * 64 * 64)


@pytest.mark.parametrize("n", [1, 5])
def test_without_free_bits_the_kl_loss_is_that_of_torch_distributions(n: int) -> None:
    mu, logvar = torch.randn(2, n, 8, generator=noise(0))
    expected = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    assert kl_loss(mu, logvar, 0.0) == pytest.approx(float(expected.sum() / n), rel=1e-5)


def test_free_bits_have_no_cost_and_no_gradient() -> None:
    mu = torch.tensor([[0.1, 3.0]], requires_grad=True)  # 0.005 and 4.5 nats
    loss = kl_loss(mu, torch.zeros(1, 2), 0.5)
    assert loss.item() == pytest.approx(5.0)
    (gradient,) = torch.autograd.grad(loss, mu)
    torch.testing.assert_close(gradient, torch.tensor([[0.0, 3.0]]))


def test_sample_has_the_moments_and_the_gradients_of_the_latent() -> None:
    mu, logvar = torch.full((20_000, 1), 2.0, requires_grad=True), torch.full((20_000, 1), -1.0)
    z = sample(mu, logvar, noise(1))
    assert float(z.mean()) == pytest.approx(2.0, abs=0.02)
    assert float(z.var()) == pytest.approx(0.3679, abs=0.02)
    (gradient,) = torch.autograd.grad(z.sum(), mu)
    assert bool((gradient == 1).all())
