"""The fast convolutions: torch's own, in their outputs and all their gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d

from wm import convolutions


def noise(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


@pytest.mark.parametrize("n", [1, 3])
def test_from_one_pixel_is_torchs_transposed_convolution(n: int) -> None:
    fast = convolutions.FromPixel(7, 4, 5)
    weight = fast.weight.view(5, 5, 4, 7).permute(3, 2, 0, 1)
    agree(fast, lambda x: conv_transpose2d(x, weight, fast.bias, stride=2), (n, 7, 1, 1))


@pytest.mark.parametrize("n", [1, 3])
def test_to_few_pixels_is_torchs_convolution(n: int) -> None:
    fast = convolutions.ToFewPixels(7, 4, 4, stride=2)
    agree(fast, lambda x: conv2d(x, fast.weight, fast.bias, stride=2), (n, 7, 8, 6))


@pytest.mark.parametrize("kernel", [5, 6])
@pytest.mark.parametrize("padding", [0, 2])
def test_transposed_is_torchs_transposed_convolution(kernel: int, padding: int) -> None:
    fast = convolutions.Transposed(7, 4, kernel, 2, padding, output_padding=padding // 2)
    slow = nn.ConvTranspose2d(7, 4, kernel, 2, padding, output_padding=padding // 2)
    fast.weight, fast.bias = slow.weight, slow.bias
    agree(fast, slow, (3, 7, 5, 4))


def agree(fast: nn.Module, slow: Callable[[torch.Tensor], torch.Tensor], shape: tuple) -> None:
    """In the output, and in the gradients of input and parameters."""
    outcomes = []
    for layer in (fast, slow):
        x = torch.randn(shape, generator=noise(0), requires_grad=True)
        y = layer(x)
        picture = torch.randn(y.shape, generator=noise(1))
        wanted = [x, *fast.parameters()]
        outcomes.append([y, *torch.autograd.grad((y * picture).sum(), wanted)])
    torch.testing.assert_close(*outcomes)
