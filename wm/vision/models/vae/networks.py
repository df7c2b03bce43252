"""The VAE's networks, which are the paper's ConvVAE (Ha & Schmidhuber 2018, appendix A.1)."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from wm.core.params import Size
from wm.vision.networks.conv_vae import Decoder, Encoder
from wm.vision.networks.registry import VisionConfig


class Config(VisionConfig):
    """What defines the networks and their loss."""

    channels: Size = 32
    """Channels of the encoder's first convolution, doubled by each of the next."""
    free_bits: float = Field(default=0.5, ge=0)
    """Nats a latent dimension that cost nothing."""
    kl_weight: float = Field(default=1.0, ge=0)
    """Weight of the KL beside the squared error; the paper's is 1."""
    kerb_weight: float = Field(default=0.0, ge=0)
    """Weight added to the pixels of kerbs and car in the squared error; the paper's is 0."""


def build(config: Config) -> tuple[nn.Module, nn.Module]:
    """Returns a fresh encoder and decoder."""
    return (
        Encoder(config.latent_size, config.channels),
        Decoder(config.latent_size, config.channels),
    )
