"""A trained decoder as the few layers that the page's JavaScript knows.

Two kinds are enough: dense layers and transposed convolutions. A convolution of stride 1 is a
transposed one with its kernel turned round. BatchNorm is folded into the layer before it, and dense
layers in a row become one: the paper's dense layer and the transposed convolution of its one pixel
are a single matrix, which at 16 channels has a sixteenth of the weights. All this is computed in
float64 by operations that round alike everywhere, and kept in float32.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from wm.core.car_racing import FRAME_SHAPE
from wm.vision.networks.convolutions import FromPixel
from wm.vision.networks.trained import load_networks

TOLERANCE = 1e-4
"""Largest difference of a pixel, of 1, between a decoder and its layers."""
ACTIVATIONS = {nn.ReLU: "relu", nn.LeakyReLU: "leaky", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}


@dataclass
class Layer:
    """A layer of a decoder. Feature maps are (rows, columns, channels)."""

    weight: np.ndarray
    """Float64: dense (outputs, inputs), transposed convolution (k, k, channels in, out)."""
    bias: np.ndarray
    """Float64, one number an output, or a channel."""
    shape: tuple[int, ...]
    """Of what comes out."""
    stride: int = 0
    """Of a transposed convolution; 0 is a dense layer."""
    padding: int = 0
    """Rows and columns that are cut off on the upper and the left side."""
    activation: str = ""
    """A name of ACTIVATIONS; "" is none."""
    slope: float = 0.0
    """Of `leaky`, below 0."""

    def facts(self) -> dict[str, Any]:
        """Returns what the page is told beside the numbers."""
        return {
            "kernel": self.weight.shape[0] if self.stride else 0,
            "stride": self.stride,
            "padding": self.padding,
            "shape": self.shape,
            "activation": self.activation,
            "slope": self.slope,
        }


def decoder_of(directory: Path | str) -> nn.Module:
    """Returns the decoder of the vision model in `directory`, in float32 on the CPU.

    Raises UserError when it is missing or damaged.
    """
    model, _ = load_networks(directory)
    return model.decoder.float().eval()


def layers_of(decoder: nn.Module, latent_size: int) -> list[Layer] | None:
    """Returns the decoder's layers, or None where it has others than those that the page knows."""
    modules = [module for module in decoder.modules() if not list(module.children())]
    layers: list[Layer] = []
    shape: tuple[int, ...] = (latent_size,)
    for module in modules:
        known = _add(layers, module, shape)
        if not known:
            return None
        shape = layers[-1].shape if layers else shape
    composed = _composed(layers)
    return composed if shape == FRAME_SHAPE and _agree(decoder, modules, latent_size) else None


def _add(layers: list[Layer], module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Takes a module in, as a layer of its own or into the last one; False: it is not known."""
    last = layers[-1] if layers else None
    if isinstance(module, nn.Identity):
        return True
    if isinstance(module, FromPixel) and shape in ((module.in_features,), _pixel(module)):
        bias = np.tile(_array(module.bias), module.shape[0] * module.shape[1])
        layers.append(Layer(_array(module.weight), bias, module.shape))
    elif isinstance(module, FromPixel):
        return False
    elif isinstance(module, nn.Linear) and len(shape) == 1:
        layers.append(Layer(_array(module.weight), _bias(module), (module.out_features,)))
    elif isinstance(module, nn.ConvTranspose2d | nn.Conv2d) and len(shape) == 3:
        return _add_convolution(layers, module, shape)
    elif last is None or (last.activation and not isinstance(module, nn.Unflatten)):
        return False
    elif isinstance(module, nn.Unflatten) and not last.stride and len(shape) == 1:
        _unflatten(last, tuple(module.unflattened_size))
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        _fold(last, module)
    elif type(module) in ACTIVATIONS:
        last.activation = ACTIVATIONS[type(module)]
        last.slope = float(getattr(module, "negative_slope", 0.0))
    else:
        return False
    return True


def _add_convolution(layers: list[Layer], module: Any, shape: tuple[int, ...]) -> bool:
    kernel, stride, padding = module.kernel_size[0], module.stride[0], module.padding[0]
    square = {len(set(pair)) for pair in (module.kernel_size, module.stride, module.padding)}
    if square != {1} or module.groups != 1 or set(module.dilation) != {1}:
        return False
    if module.padding_mode != "zeros" or len(set(module.output_padding)) != 1:
        return False
    if isinstance(module, nn.ConvTranspose2d):
        weight, more = _array(module.weight).transpose(2, 3, 0, 1), module.output_padding[0]
    elif stride == 1:
        weight, more = _array(module.weight).transpose(2, 3, 1, 0)[::-1, ::-1], 0
        padding = kernel - 1 - padding
    else:
        return False
    rows, columns = ((side - 1) * stride - 2 * padding + kernel + more for side in shape[:2])
    outputs = weight.shape[3]
    layers.append(Layer(weight, _bias(module), (rows, columns, outputs), stride, padding))
    return True


def _bias(module: Any) -> np.ndarray:
    if module.bias is None:
        return np.zeros(module.weight.shape[isinstance(module, nn.ConvTranspose2d)])
    return _array(module.bias)


def _pixel(module: nn.Linear) -> tuple[int, ...]:
    return (1, 1, module.in_features)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def _unflatten(layer: Layer, size: tuple[int, ...]) -> None:
    """Gives a dense layer the shape (channels, rows, columns), with the channels last."""
    order = np.arange(len(layer.bias)).reshape(size).transpose(1, 2, 0).ravel()
    layer.weight, layer.bias = layer.weight[order], layer.bias[order]
    layer.shape = (*size[1:], size[0])


def _fold(layer: Layer, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = 1 / np.sqrt(_array(norm.running_var) + norm.eps)
    shift = -_array(norm.running_mean) * scale
    if norm.affine:
        scale, shift = scale * _array(norm.weight), shift * _array(norm.weight) + _array(norm.bias)
    if not layer.stride:  # of a dense layer's pixels, each has the channels, which come last
        pixels = len(layer.bias) // len(scale)
        scale, shift = np.tile(scale, pixels), np.tile(shift, pixels)
    layer.bias = layer.bias * scale + shift
    layer.weight = layer.weight * (scale if layer.stride else scale[:, None])


def _composed(layers: list[Layer]) -> list[Layer]:
    """Returns the layers with dense ones in a row as one, if that takes fewer weights."""
    kept: list[Layer] = []
    for layer in layers:
        before = kept[-1] if kept else None
        if (
            before is None
            or before.stride
            or layer.stride
            or before.activation
            or len(layer.bias) * before.weight.shape[1] > before.weight.size + layer.weight.size
        ):
            kept.append(layer)
            continue
        weight = np.zeros((len(layer.bias), before.weight.shape[1]))
        bias = layer.bias.copy()
        for i in range(len(before.bias)):  # one by one: a product's sums depend on the processor
            weight += layer.weight[:, i : i + 1] * before.weight[i]
            bias += layer.weight[:, i] * before.bias[i]
        kept[-1] = Layer(weight, bias, layer.shape, activation=layer.activation, slope=layer.slope)
    return kept


@torch.inference_mode()
def _agree(decoder: nn.Module, modules: list[nn.Module], latent_size: int) -> bool:
    """Whether the modules in their order are all that the decoder does."""
    z = torch.linspace(-2, 2, 2 * latent_size).reshape(2, latent_size)
    x = z
    for module in modules:
        x = module(x)
    expected = decoder(z)
    return x.shape == expected.shape and torch.allclose(x, expected, rtol=0, atol=TOLERANCE)


def flat(arrays: list[np.ndarray]) -> np.ndarray:
    """Returns the numbers of all arrays, one after the other, float32 (N,)."""
    return np.concatenate([array.ravel() for array in arrays]).astype("<f4")


def numbers(layers: list[Layer]) -> list[np.ndarray]:
    """Returns weight and bias of each layer, in turn."""
    return list(itertools.chain.from_iterable((layer.weight, layer.bias) for layer in layers))
