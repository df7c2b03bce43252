"""The losses of the discriminator and those that it has for the decoder and the encoder."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def discriminator_loss(real: Tensor, fakes: list[Tensor]) -> Tensor:
    """Returns the cross-entropy of logits (N, 1): half for real frames, half for all kinds of
    fakes."""
    fake = torch.stack([F.softplus(logit).mean() for logit in fakes]).mean()
    return 0.5 * F.softplus(-real).mean() + 0.5 * fake


def adversarial_loss(fakes: list[Tensor], saturating: bool) -> Tensor:
    """Returns the decoder's adversarial loss: minus the discriminator's on the fakes, or, unless
    `saturating`, -log D(fake)."""
    if saturating:
        return -0.5 * torch.stack([F.softplus(logit).mean() for logit in fakes]).mean()
    return torch.stack([F.softplus(-logit).mean() for logit in fakes]).mean()


def similarity_loss(target: Tensor, features: Tensor, summed: bool) -> Tensor:
    """Returns the paper's learned similarity (eq. 7): half the squared distance of features
    (N, ...), summed over a frame's features or averaged."""
    squares = 0.5 * (features.float() - target.float()).square()
    return squares.sum() / len(squares) if summed else squares.mean()


def moment_loss(z: Tensor) -> Tensor:
    """Returns the distance of the batch's z (N, Z) from mean 0 and deviation 1 a dimension."""
    return z.mean(dim=0).square().mean() + (z.std(dim=0, correction=0) - 1).square().mean()
