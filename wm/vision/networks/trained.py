"""Frames in, latents out and back: a trained vision model's encoder and decoder, for use.

The encoder is the rollout's most expensive network, so its weights are prepared once: BatchNorm
folded into the layer before it and the frames' 1/255 into the first one, cast to the compute's
type, laid out channels-last. BatchNorm's stored statistics are used, so a frame's latents do not
depend on the frames beside it; their last bits may depend on how many there are (matrix products
block by size), which is why shards are of fixed size.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from wm.core.car_racing import FRAME_SHAPE
from wm.core.errors import UserError
from wm.core.frames import WHITE
from wm.core.params import VISION_MODELS, validated
from wm.nn import weights
from wm.nn.compute import Compute
from wm.vision.networks import registry
from wm.vision.networks.convolutions import channels_last
from wm.vision.networks.pixels import to_frames, to_images


class Autoencoder(nn.Module):
    """An encoder and a decoder, under the names that weights.safetensors uses."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


class Vision:
    """A frozen encoder and decoder. Later changes to the networks given do not reach it."""

    def __init__(self, model: Autoencoder, latent_size: int, compute: Compute) -> None:
        """`model` maps to and from latents of `latent_size` values; it is copied."""
        self.latent_size, self.compute = latent_size, compute
        self._encoder = _prepared(_of_bytes(model.encoder), compute)
        self._decoder = _prepared(model.decoder, compute)

    @torch.inference_mode()
    def encode(self, frames: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """Returns mu and logvar, float32 (N, latent_size), of frames, uint8 (N, 64, 64, 3)."""
        images = to_images(frames, self.compute.device)
        mu, logvar = self._encoder(images.to(self.compute.dtype))
        return mu.float(), logvar.float()

    @torch.inference_mode()
    def decode(self, z: Tensor) -> np.ndarray:
        """Returns the frames, uint8 (N, 64, 64, 3), of z, (N, latent_size)."""
        assert z.shape == (len(z), self.latent_size), z.shape
        return to_frames(self._decoder(z.to(self.compute.device, self.compute.dtype)))


def save(directory: Path | str, kind: str, model: nn.Module, config: dict[str, Any]) -> None:
    """Writes the vision model of the name `kind` into the folder `directory`.

    `model` has an encoder, a decoder and what else its training needs; `config` rebuilds it.
    """
    weights.save(directory, model, {"kind": kind, **config})


def load(directory: Path | str, compute: Compute) -> Vision:
    """Returns the model in `directory`, of the kind that its config.json names.

    Raises UserError as `load_networks` does.
    """
    model, config = load_networks(directory)
    return Vision(model, config.latent_size, compute)


def load_networks(directory: Path | str) -> tuple[Autoencoder, Any]:
    """Returns the networks of the model in `directory`, float32 on the CPU, and their Config.

    Raises UserError when they are missing, damaged, or of another shape than the config.
    """
    networks, config = _read(directory)
    model = weights.load(directory, lambda: Autoencoder(*networks.build(config)), part=True)
    return model, config


def read_config(directory: Path | str) -> Any:
    """Returns the Config of the model in `directory`; UserError when it is missing or damaged."""
    return _read(directory)[1]


def _read(directory: Path | str) -> tuple[ModuleType, Any]:
    saved = weights.read_config(directory)
    path = Path(directory) / weights.CONFIG
    kind = saved.pop("kind", None)
    if kind not in VISION_MODELS:
        raise UserError(f"{path}: kind is {kind!r}, not one of {', '.join(VISION_MODELS)}")
    networks = registry.find(kind, "networks")
    return networks, validated(networks.Config, saved, path, "run its stage again")


class _FromBytes(nn.Module):
    """Brings [0, 255] to [0, 1] before an encoder whose first layer cannot take that over."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encoder(x / WHITE)
        return mu, logvar


@torch.no_grad()
def _of_bytes(encoder: nn.Module) -> nn.Module:
    """Returns a copy that takes [0, 255] for [0, 1]; bfloat16 holds a byte, not its 255th.

    Where the first layer is a convolution its weights take that over, if the outcome is the same.
    """
    encoder = copy.deepcopy(encoder).float().eval()
    folded = copy.deepcopy(encoder)
    first = next(module for module in folded.modules() if not list(module.children()))
    if isinstance(first, nn.Conv2d):
        first.weight /= WHITE
        ramp = torch.arange(math.prod(FRAME_SHAPE), dtype=torch.float32) % (WHITE + 1)
        frame = ramp.view(1, *FRAME_SHAPE).permute(0, 3, 1, 2).to(first.weight.device)
        expected, found = _FromBytes(encoder)(frame), folded(frame)
        if all(map(torch.allclose, expected, found, (1e-3, 1e-3), (1e-3, 1e-3))):
            return folded
    return _FromBytes(encoder)


def _prepared(network: nn.Module, compute: Compute) -> nn.Module:
    """Returns a copy for inference: BatchNorm folded, in the compute's type, channels-last."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _fold_batch_norm(module)
    return channels_last(network).to(compute.device, compute.dtype)


def _fold_batch_norm(layers: nn.Sequential) -> None:
    """Folds every BatchNorm that directly follows a convolution or a dense layer into it."""
    for i in range(len(layers) - 1):
        layer, norm = layers[i], layers[i + 1]
        if isinstance(norm, nn.BatchNorm2d) and isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layers[i] = fuse_conv_bn_eval(layer, norm, isinstance(layer, nn.ConvTranspose2d))
            layers[i + 1] = nn.Identity()
        elif isinstance(norm, nn.BatchNorm1d) and isinstance(layer, nn.Linear):
            layers[i] = fuse_linear_bn_eval(layer, norm)
            layers[i + 1] = nn.Identity()
