"""Frames in, latents out and back: a trained VAE's or VAE-GAN's encoder and decoder, for use.

The encoder is the rollout's most expensive network, so its weights are prepared once: BatchNorm
folded into the layer before it and the frames' 1/255 into the first one, cast to the compute's
type, laid out channels-last. BatchNorm's stored statistics are used, so a frame's latents do not
depend on the frames beside it; their last bits may depend on how many there are (matrix products
block by size), which is why shards are of fixed size.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from wm import vae, vaegan, weights
from wm.compute import Compute
from wm.errors import UserError


def to_float(frames: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """uint8 (N, 64, 64, 3) -> float32 (N, 3, 64, 64) in [0, 1], channels-last in memory."""
    return _to_images(frames, device).float() / 255


def _to_images(frames: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """uint8 (N, 64, 64, 3) -> uint8 (N, 3, 64, 64), the same memory."""
    pixels = torch.as_tensor(frames).to(device)
    assert pixels.dtype == torch.uint8, pixels.dtype
    assert pixels.shape[1:] == (64, 64, 3), pixels.shape
    return pixels.permute(0, 3, 1, 2)


def to_frames(x: Tensor) -> np.ndarray:
    """(N, 3, 64, 64) in [0, 1] -> uint8 (N, 64, 64, 3), rounded and clipped."""
    pixels = (x.float() * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())


class Vision:
    """A frozen encoder and decoder. Later changes to the networks given do not reach it."""

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, latent_size: int, compute: Compute
    ) -> None:
        self.latent_size, self.compute = latent_size, compute
        self._encoder = _prepared(_of_bytes(encoder), compute)
        self._decoder = _prepared(decoder, compute)

    @torch.inference_mode()
    def encode(self, frames: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, 64, 64, 3) -> mu, logvar, float32 (N, latent_size)."""
        bytes_ = _to_images(frames, self.compute.device)
        mu, logvar = self._encoder(bytes_.to(self.compute.dtype))
        return mu.float(), logvar.float()

    @torch.inference_mode()
    def decode(self, z: Tensor) -> np.ndarray:
        """z (N, latent_size) -> uint8 (N, 64, 64, 3)."""
        assert z.shape == (len(z), self.latent_size), z.shape
        return to_frames(self._decoder(z.to(self.compute.device, self.compute.dtype)))


def load(directory: Path | str, compute: Compute) -> Vision:
    """The model in `directory`, a VAE or a VAE-GAN as its config.json says.

    Raises UserError when it is missing, damaged, or of another shape than its config.
    """
    config = read_config(directory)
    model = weights.load(directory, lambda: _network(config))
    return Vision(model.encoder, model.decoder, config.latent_size, compute)


def read_config(directory: Path | str) -> vae.VaeConfig | vaegan.VaeganConfig:
    """What defines the model in `directory`; UserError when it is missing or damaged."""
    saved = weights.read_config(directory)
    kind = saved.pop("kind", None)
    try:
        if kind == "vae":
            return vae.VaeConfig(**saved)
        if kind == "vaegan":
            return vaegan.VaeganConfig(**saved)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{directory}/config.json: {key}: {first['msg']}; train again") from None
    raise UserError(f"{directory}/config.json: kind is {kind!r}, not 'vae' or 'vaegan'")


def _network(config: vae.VaeConfig | vaegan.VaeganConfig) -> vae.VAE | vaegan.VAEGAN:
    return vae.VAE(config) if isinstance(config, vae.VaeConfig) else vaegan.VAEGAN(config)


@torch.no_grad()
def _of_bytes(encoder: nn.Module) -> nn.Module:
    """A copy that takes [0, 255] for [0, 1]; bfloat16 holds a byte, but rounds its 255th."""
    encoder = copy.deepcopy(encoder)
    first = next(module for module in encoder.modules() if isinstance(module, nn.Conv2d))
    first.weight /= 255
    return encoder


def _prepared(network: nn.Module, compute: Compute) -> nn.Module:
    """A copy for inference: BatchNorm folded, in the compute's type, channels-last."""
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _fold_batch_norm(module)
    return vae.channels_last(network).to(compute.device, compute.dtype)


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
