"""Functions and a layer whose float32 results on a CPU do not depend on the processor's maker.

There torch's own exp, tanh, log and matrix products are Intel's MKL, which takes another way to
them on another maker's processor. These are made of what torch and oneDNN compile themselves, and
no slower. In other types, on a GPU and under autocast they are torch's own. `python -m verify
--only arithmetic` compares them between machines.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LOG2_E = math.log2(math.e)
WIDEST = 64
"""Pixels across a picture that rows are laid out as: oneDNN is slower on a column of them."""


def exp(x: Tensor) -> Tensor:
    """Returns e to the power of each element of x."""
    return torch.exp2(x * LOG2_E) if _is_mkls(x) else torch.exp(x)


def tanh(x: Tensor) -> Tensor:
    """Returns the hyperbolic tangent of each element of x, within 2e-7."""
    return 2 * torch.sigmoid(2 * x) - 1 if _is_mkls(x) else torch.tanh(x)


def logsumexp(x: Tensor, dim: int) -> Tensor:
    """Returns log(sum(exp(x))) along `dim`, which falls away; x is finite."""
    peak = x.detach().amax(dim, keepdim=True)
    return torch.log1p(exp(x - peak).sum(dim) - 1) + peak.squeeze(dim)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Returns x (..., I) times weight (O, I), transposed, plus bias (O,): (..., O).

    A float32 product on a CPU is made as a convolution, the rows being the pixels of two pictures:
    torch has no other way to oneDNN's products. It takes that way, and not MKL's, where there are
    two or more pictures, and where the kernel is dilated, which means nothing for one of one pixel.
    """
    if not _is_mkls(x) or torch.is_autocast_enabled("cpu"):
        return functional.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    count = len(rows)
    if count % 2:
        rows = functional.pad(rows, (0, 0, 0, 1))
    across = math.gcd(len(rows) // 2, WIDEST)
    pictures = rows.view(2, -1, across, rows.shape[1]).permute(0, 3, 1, 2)
    product = functional.conv2d(pictures, weight[:, :, None, None], bias, dilation=2)
    product = product.permute(0, 2, 3, 1).reshape(-1, len(weight))
    return product[:count].view(*x.shape[:-1], len(weight))


def _is_mkls(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32


class Linear(nn.Linear):
    """nn.Linear by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)
