"""The diagonal Gaussian N(mu, exp(logvar)) that an encoder makes of a frame."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

from wm.nn import functions

Array = TypeVar("Array", np.ndarray, torch.Tensor)


def reparameterise(mu: Array, logvar: Array, epsilon: Array) -> Array:
    """Returns z = mu + exp(logvar / 2) * epsilon, with `epsilon` drawn from N(0, 1).

    All three have one shape and one type (Kingma & Welling 2013, section 2.4).
    """
    if isinstance(logvar, torch.Tensor):
        return mu + functions.exp(0.5 * logvar) * epsilon
    return mu + np.exp(0.5 * logvar) * epsilon


def kl_divergence(mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """Returns KL(N(mu, exp(logvar)) || N(0, 1)) of every frame and dimension, in nats: float32
    (N, Z) for `mu` and `logvar` (N, Z)."""
    mu, logvar = mu.float(), logvar.float()
    return 0.5 * (mu.square() + functions.exp(logvar) - 1 - logvar)
