"""The VAE-GAN's encoder and decoder (Larsen et al. 2016, arXiv:1512.09300): of two kinds.

`vae` are the VAE's own, so that the adversarial loss can be told apart from bigger networks; `seed`
are those of the Keras implementations that this project set out from.
"""

from __future__ import annotations

import itertools
from typing import Literal

from torch import Tensor, nn

from wm.core.params import Size
from wm.nn.functions import Linear, tanh
from wm.vision.networks import conv_vae
from wm.vision.networks.convolutions import Transposed
from wm.vision.networks.registry import VisionConfig

CORNER = 8
"""Rows and columns of the seed encoder's last feature map."""


class Config(VisionConfig):
    """What defines the networks and the loss."""

    networks: Literal["seed", "vae"] = "vae"
    """The kind of encoder and decoder."""
    channels: Size = 32
    """Channels of the first convolution of the `vae` networks."""
    depth: Size = 8
    """Width d of the discriminator and of the `seed` networks."""
    heads: Literal["tanh", "linear"] = "linear"
    """The last layer of the seed encoder's mean and log-variance."""
    recipe: Literal[
        "larsen", "larsen-similarity", "minimax", "minimax-similarity", "balanced", "anchored"
    ] = "anchored"
    """Which loss reaches which network: a name of recipes.RECIPES."""


def down(channels_in: int, channels_out: int, stride: int = 2) -> nn.Conv2d:
    """Returns a convolution of kernel 5 that divides rows and columns by `stride`."""
    # Keras pads "same" by 1 before and 2 after; 2 before and 1 after is the same network on
    # frames that are mirrored on both axes, and needs no padding layer of its own
    return nn.Conv2d(channels_in, channels_out, 5, stride=stride, padding=2)


def leaky() -> nn.LeakyReLU:
    """Returns the activation of all these networks."""
    return nn.LeakyReLU(0.2)


def _up(channels_in: int, channels_out: int) -> Transposed:
    return Transposed(channels_in, channels_out, 5, 2, padding=2, output_padding=1)


class SeedEncoder(nn.Module):
    """The encoder: x, (N, 3, 64, 64) in [0, 1], to mu and logvar, (N, latent_size) each, which
    `tanh` heads keep in [-1, 1]."""

    def __init__(self, latent_size: int, depth: int, heads: Literal["tanh", "linear"]) -> None:
        super().__init__()
        widths = [3, 2 * depth, 4 * depth, 8 * depth]
        layers: list[nn.Module] = []
        for channels_in, channels_out in itertools.pairwise(widths):
            layers += [down(channels_in, channels_out), nn.BatchNorm2d(channels_out), leaky()]
        layers += [nn.Flatten(), Linear(CORNER * CORNER * widths[-1], latent_size)]
        self.body = nn.Sequential(*layers, nn.BatchNorm1d(latent_size), leaky())
        self.heads = Linear(latent_size, 2 * latent_size)
        self.bounded = heads == "tanh"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out = self.heads(self.body(x))
        mu, logvar = (tanh(out) if self.bounded else out).chunk(2, dim=1)
        return mu, logvar


class SeedDecoder(nn.Module):
    """The decoder: z, (N, latent_size), to x, (N, 3, 64, 64) in [0, 1]."""

    def __init__(self, latent_size: int, depth: int) -> None:
        super().__init__()
        size = CORNER * CORNER * 8 * depth
        layers: list[nn.Module] = [
            Linear(latent_size, size),
            nn.BatchNorm1d(size),
            leaky(),
            nn.Unflatten(1, (8 * depth, CORNER, CORNER)),
        ]
        widths = [8 * depth, 8 * depth, 4 * depth, depth]
        for channels_in, channels_out in itertools.pairwise(widths):
            layers += [_up(channels_in, channels_out), nn.BatchNorm2d(channels_out), leaky()]
        self.body = nn.Sequential(*layers, down(depth, 3, stride=1), nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.body(z)
        return x


def build(config: Config) -> tuple[nn.Module, nn.Module]:
    """Returns a fresh encoder and decoder of the kind that `config` names."""
    if config.networks == "vae":
        return (
            conv_vae.Encoder(config.latent_size, config.channels),
            conv_vae.Decoder(config.latent_size, config.channels),
        )
    return (
        SeedEncoder(config.latent_size, config.depth, config.heads),
        SeedDecoder(config.latent_size, config.depth),
    )
