"""The encoder's Gaussian: the formula in numpy and torch, the KL against torch.distributions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as divergence

from wm.nn.posterior import kl_divergence, reparameterise


def test_z_is_the_formula_in_numpy_and_in_torch() -> None:
    mu, logvar, epsilon = np.random.default_rng(0).normal(size=(3, 5, 8))
    expected = [
        [m + s**0.5 * e for m, s, e in zip(*rows, strict=True)]
        for rows in zip(mu, np.exp(logvar), epsilon, strict=True)
    ]
    ours = reparameterise(mu, logvar, epsilon)
    np.testing.assert_allclose(ours, expected, rtol=1e-12)
    tensors = [torch.from_numpy(array) for array in (mu, logvar, epsilon)]
    np.testing.assert_allclose(reparameterise(*tensors).numpy(), expected, rtol=1e-12)


def test_z_keeps_the_inputs_type() -> None:
    parts = [array.astype(np.float32) for array in np.random.default_rng(1).normal(size=(3, 4, 2))]
    assert reparameterise(*parts).dtype == np.float32
    assert reparameterise(*map(torch.from_numpy, parts)).dtype == torch.float32


def test_without_noise_z_is_the_mean_and_without_variance_too() -> None:
    mu, logvar, epsilon = np.random.default_rng(2).normal(size=(3, 4, 2))
    assert (reparameterise(mu, logvar, np.zeros_like(mu)) == mu).all()
    assert (reparameterise(mu, np.full_like(mu, -np.inf), epsilon) == mu).all()


@pytest.mark.parametrize("n", [1, 5])
def test_kl_is_that_of_torch_distributions(n: int) -> None:
    mu, logvar = torch.randn(2, n, 8, generator=torch.Generator().manual_seed(0))
    expected = divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_divergence(mu, logvar), expected)
