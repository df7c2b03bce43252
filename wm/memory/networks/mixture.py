"""The mixture of Gaussians over the next latent (World Models, appendix A.2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn import functional

from wm.nn.functions import exp, logsumexp

LOG_2PI = math.log(2 * math.pi)


class Mixture(NamedTuple):
    """K Gaussians for each of Z dimensions; float32 (B, T, K, Z) each."""

    logpi: torch.Tensor
    """Logarithms of the weights; their exponentials sum to 1 over K."""
    mean: torch.Tensor
    """Means of the Gaussians."""
    logstd: torch.Tensor
    """Logarithms of the Gaussians' standard deviations."""


def nll(mixture: Mixture, target: torch.Tensor) -> torch.Tensor:
    """Returns -log p(target) in nats, summed over Z: float32 (B, T) for `target` (B, T, Z).

    The density is that of appendix A.2.
    """
    batch, steps, _, latent_size = mixture.mean.shape
    assert target.shape == (batch, steps, latent_size), f"{target.shape} for {mixture.mean.shape}"
    standardised = (target[:, :, None] - mixture.mean) * exp(-mixture.logstd)
    log_normal = -0.5 * (standardised**2 + LOG_2PI) - mixture.logstd
    return -logsumexp(mixture.logpi + log_normal, dim=2).sum(dim=-1)


def expectation(mixture: Mixture) -> torch.Tensor:
    """Returns the mean of the mixture, (B, T, Z): the prediction of least squared error."""
    return (exp(mixture.logpi) * mixture.mean).sum(dim=2)


def sample(mixture: Mixture, generator: torch.Generator, temperature: float) -> torch.Tensor:
    """Draws z (B, T, Z). The temperature (> 0) divides the log weights and scales the variance
    (section 2.2).

    What is random is drawn on the generator's device, which need not be the mixture's: a CPU's
    generator gives the same numbers whatever the mixture is on.
    """
    weights = functional.softmax(mixture.logpi / temperature, dim=2).transpose(2, 3)
    on_generator = weights.flatten(0, 2).to(generator.device)
    drawn = torch.multinomial(on_generator, 1, generator=generator).to(weights.device)
    component = drawn.view(weights.shape[:3])[:, :, None]
    mean = mixture.mean.gather(2, component)[:, :, 0]
    std = exp(mixture.logstd.gather(2, component)[:, :, 0]) * temperature**0.5
    noise = torch.randn(mean.shape, generator=generator, device=generator.device).to(mean.device)
    return mean + std * noise
