"""The fast convolutions: torch's own, in their outputs and all their gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from wm.vision.networks import convolutions

Layer = Callable[[Tensor], Tensor]
Pair = tuple[nn.Module, Layer, tuple[int, ...]]
"""Ours, torch's of the same weights, and the input's shape."""


def noise(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def from_pixel(n: int) -> Pair:
    fast = convolutions.FromPixel(7, 4, 5)

    def slow(x: Tensor) -> Tensor:
        weight = fast.weight.view(5, 5, 4, 7).permute(3, 2, 0, 1)
        return conv_transpose2d(x, weight, fast.bias, stride=2)

    return fast, slow, (n, 7, 1, 1)


def to_few_pixels(n: int) -> Pair:
    fast = convolutions.ToFewPixels(7, 4, 4, stride=2)
    return fast, lambda x: conv2d(x, fast.weight, fast.bias, stride=2), (n, 7, 8, 6)


def transposed(kernel: int, padding: int) -> Pair:
    fast = convolutions.Transposed(7, 4, kernel, 2, padding, output_padding=padding // 2)
    slow = nn.ConvTranspose2d(7, 4, kernel, 2, padding, output_padding=padding // 2)
    slow.weight, slow.bias = fast.weight, fast.bias
    return fast, slow, (3, 7, 5, 4)


PAIRS = {
    "from one pixel, one frame": lambda: from_pixel(1),
    "from one pixel": lambda: from_pixel(3),
    "to few pixels, one frame": lambda: to_few_pixels(1),
    "to few pixels": lambda: to_few_pixels(3),
    "transposed, odd": lambda: transposed(5, 0),
    "transposed, even": lambda: transposed(6, 0),
    "transposed, odd, padded": lambda: transposed(5, 2),
    "transposed, even, padded": lambda: transposed(6, 2),
}


@pytest.mark.parametrize("name", PAIRS)
def test_in_float32_each_is_torchs_own(name: str) -> None:
    torch.manual_seed(0)
    fast, slow, shape = PAIRS[name]()
    torch.testing.assert_close(outcome(fast, fast, shape), outcome(slow, fast, shape))


@pytest.mark.parametrize("name", PAIRS)
def test_in_bfloat16_each_is_torchs_own_but_for_rounding(name: str) -> None:
    """As trained: under autocast, channels-last, with gradients in the master weights' float32."""
    torch.manual_seed(0)
    fast, slow, shape = PAIRS[name]()
    exact = outcome(slow, fast, shape)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = outcome(fast.to(memory_format=torch.channels_last), fast, shape)  # type: ignore[call-overload]
    assert rounded[0].dtype == torch.bfloat16
    assert all(part.dtype == torch.float32 for part in rounded[1:])
    for ours, torchs in zip(rounded, exact, strict=True):
        # 8 bits of mantissa, a few hundred of them summed: a fiftieth of the largest value
        error = (ours.float() - torchs).abs().max()
        assert error < torchs.abs().max() / 50


def outcome(layer: Layer, parameters: nn.Module, shape: tuple[int, ...]) -> list[Tensor]:
    """The output, and the gradients of input and parameters."""
    x = torch.randn(shape, generator=noise(0), requires_grad=True)
    y = layer(x.contiguous(memory_format=torch.channels_last))
    picture = torch.randn(y.shape, generator=noise(1))
    gradients = torch.autograd.grad((y.float() * picture).sum(), [x, *parameters.parameters()])
    return [y.detach(), *gradients]
