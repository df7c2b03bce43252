"""The losses of a variational autoencoder on frames."""

from __future__ import annotations

import torch
from torch import Tensor

from wm.core.car_racing import KERB_RED
from wm.nn.posterior import kl_divergence, reparameterise


def sample(mu: Tensor, logvar: Tensor, noise: torch.Generator) -> Tensor:
    """Draws z from N(mu, exp(logvar)), float32 (N, Z). `noise` is a CPU generator."""
    epsilon = torch.randn(mu.shape, generator=noise).to(mu.device)
    return reparameterise(mu.float(), logvar.float(), epsilon)


def kl_loss(mu: Tensor, logvar: Tensor, free_bits: float) -> Tensor:
    """Returns the batch's mean KL in nats a frame, no dimension counting for less than `free_bits`.

    The paper's floor (0.5 x 32 nats) is on the sum over the dimensions; a floor on each keeps
    every dimension worth its while.
    """
    return kl_divergence(mu, logvar).mean(dim=0).clamp(min=free_bits).sum()


def squared_error(x: Tensor, reconstruction: Tensor, kerb_weight: float = 0.0) -> Tensor:
    """Returns the squared error summed over a frame's values, averaged over the frames: the paper's
    reconstruction loss.

    The error of a pixel that is white or red in x, a kerb's or the car's, counts 1 + `kerb_weight`
    times: kerbs announce the sharp corners, and are too few pixels to be learned early otherwise.
    """
    squares = (reconstruction.float() - x).square()
    if kerb_weight:
        squares = squares * (1 + kerb_weight * (x[:, :1] > KERB_RED))
    return squares.sum() / len(x)
