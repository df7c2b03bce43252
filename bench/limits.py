"""What the machine can do at best: matrix products and nothing else."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

SIDE, TIMES = 2048, 4


def units_per_second(flops: float, dtype: torch.dtype) -> float:
    """Returns how many units of `flops` floating-point operations each the rate of a large product
    allows."""
    a, b = torch.randn(2, SIDE, SIDE).to(dtype)
    start = time.perf_counter()
    for _ in range(TIMES):
        a @ b
    return TIMES * 2 * SIDE**3 / (time.perf_counter() - start) / flops


def forward_flops(network: nn.Module, shape: tuple[int, ...]) -> float:
    """Returns the floating-point operations that one example of `shape` takes in convolutions and
    dense layers, two a multiply-add."""
    total = 0.0

    def count(layer: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.ConvTranspose2d):  # every input value meets every weight of its own
            total += 2 * inputs[0][0].numel() * layer.weight[0].numel()
        else:
            total += 2 * output[0].numel() * layer.weight[0].numel()

    kinds = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    layers = [layer for layer in network.modules() if isinstance(layer, kinds)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return total
