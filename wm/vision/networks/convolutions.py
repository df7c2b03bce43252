"""The convolutions of the vision models, as they train and run fastest on a CPU.

Each is one of torch's own, equal in float32 but for the order of its sums; in bfloat16 the bias is
added after the product is rounded. What they gain is in EXPERIMENTS.md, layer by layer.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

from wm.nn.functions import linear


class ToFewPixels(nn.Conv2d):
    """A convolution without padding to a handful of pixels, (N, C, H, W) -> (N, D, H', W').

    Implemented as im2col and one matrix product: twice as fast on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        (height, width), (down, right) = self.kernel_size, self.stride
        rows = range(0, x.shape[2] - height + 1, down)
        columns = range(0, x.shape[3] - width + 1, right)
        pixels = x.permute(0, 2, 3, 1)
        windows = [pixels[:, i : i + height, j : j + width] for i in rows for j in columns]
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        product = linear(torch.stack(windows, dim=1).flatten(2), weight)
        assert self.bias is not None
        product = product + self.bias.to(product.dtype)
        return product.view(len(x), len(rows), len(columns), -1).permute(0, 3, 1, 2)


class FromPixel(nn.Linear):
    """A transposed convolution of a single pixel, (N, C, 1, 1) -> (N, D, kernel, kernel).

    Implemented as one matrix product: it trains several times faster on a CPU.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, kernel * kernel * outputs, bias=False)
        self.shape = (kernel, kernel, outputs)
        bound = 1 / math.sqrt(self.out_features)  # as in nn.ConvTranspose2d
        nn.init.uniform_(self.weight, -bound, bound)
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        pixels = linear(x.flatten(1), self.weight).unflatten(1, self.shape)
        return (pixels + self.bias.to(pixels.dtype)).permute(0, 3, 1, 2)


class _Transposed(torch.autograd.Function):
    """A transposed convolution: x (N, C, H, W), weight (C, D, k, k), bias (D,) to (N, D, H', W').

    It is the gradient of a strided convolution, and its own gradient is that convolution. One by
    one, torch's kernels for these are faster in bfloat16 on a CPU than nn.ConvTranspose2d's.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int, more: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        kernel = weight.shape[2]
        if kernel % 2 == 0:
            return functional.conv_transpose2d(x, weight, bias, stride, padding, more)
        # torch's transposed convolution takes five times as long with an odd kernel
        height, width = ((side - 1) * stride - 2 * padding + kernel + more for side in x.shape[2:])
        size = (len(x), weight.shape[1], height, width)
        return conv2d_input(size, weight, x, stride, padding) + bias[:, None, None]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        of_x = functional.conv2d(gradient, weight, None, ctx.stride, ctx.padding)
        of_weight = conv2d_weight(gradient, weight.shape, x, ctx.stride, ctx.padding)
        return of_x, of_weight, gradient.sum((0, 2, 3)), None, None, None


class Transposed(nn.ConvTranspose2d):
    """nn.ConvTranspose2d, square, faster to train in bfloat16 on a CPU."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        weight, bias, device = self.weight, self.bias, x.device.type
        assert bias is not None
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
        output: Tensor = _Transposed.apply(
            x, weight, bias, self.stride[0], int(self.padding[0]), self.output_padding[0]
        )
        return output


class ToFrame(nn.ConvTranspose2d):
    """A transposed convolution of stride 2 and an even kernel, without padding, to a few channels:
    (N, C, H, W) -> (N, D, H', W').

    The pixels in even and odd rows and columns are four convolutions of x, made as one: faster on a
    CPU, whose registers hold more channels than a frame has.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        count, (inputs, outputs, kernel, _) = len(x), self.weight.shape
        half = kernel // 2
        weight = self.weight.view(inputs, outputs, half, 2, half, 2).flip(2, 4)
        weight = weight.permute(3, 5, 1, 0, 2, 4).reshape(4 * outputs, inputs, half, half)
        assert self.bias is not None
        if len(x) == 1:  # of a single one torch would make a product of MKL's
            x = x.expand(2, -1, -1, -1)
        four = functional.conv2d(x, weight, self.bias.repeat(4), padding=half - 1)[:count]
        _, _, height, width = four.shape
        rows = four.permute(0, 2, 3, 1).unflatten(3, (2, 2 * outputs)).transpose(2, 3)
        return rows.reshape(count, 2 * height, 2 * width, outputs).permute(0, 3, 1, 2)


M = TypeVar("M", bound=nn.Module)


def channels_last(module: M) -> M:
    """Lays a module's weights out as convolutions of the CPU and the GPU read them fastest, in
    place; returns the module."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
