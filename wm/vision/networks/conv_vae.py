"""The networks of the paper's ConvVAE (Ha & Schmidhuber 2018, appendix A.1), in any width.

Four valid convolutions of kernel 4 and stride 2 (c, 2c, 4c, 8c channels; in the paper c is 32) take
a frame to 2x2x8c; a dense layer gives mean and log-variance. The decoder is a dense layer to 32c
channels on one pixel and four transposed convolutions (4c, 2c, c, 3). All run channels-last. The
VAE has these networks, and the VAE-GAN may have them.
"""

from __future__ import annotations

from torch import Tensor, nn

from wm.nn.functions import Linear
from wm.vision.networks.convolutions import FromPixel, ToFewPixels, ToFrame, Transposed

LAST_PIXELS = 4
"""Pixels that are left of a 64x64 frame after the encoder's convolutions."""


class Encoder(nn.Module):
    """The encoder: x, (N, 3, 64, 64) in [0, 1], to mu and logvar, (N, latent_size) each."""

    def __init__(self, latent_size: int, channels: int) -> None:
        super().__init__()
        c = channels
        self.body = nn.Sequential(
            nn.Conv2d(3, c, 4, stride=2),  # (N, c, 31, 31)
            nn.ReLU(),
            nn.Conv2d(c, 2 * c, 4, stride=2),  # (N, 2c, 14, 14)
            nn.ReLU(),
            nn.Conv2d(2 * c, 4 * c, 4, stride=2),  # (N, 4c, 6, 6)
            nn.ReLU(),
            ToFewPixels(4 * c, 8 * c, 4, stride=2),  # (N, 8c, 2, 2)
            nn.ReLU(),
            nn.Flatten(),
        )
        self.heads = Linear(LAST_PIXELS * 8 * c, 2 * latent_size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.heads(self.body(x)).chunk(2, dim=1)
        return mu, logvar


class Decoder(nn.Module):
    """The decoder: z, (N, latent_size), to x, (N, 3, 64, 64) in [0, 1]."""

    def __init__(self, latent_size: int, channels: int) -> None:
        super().__init__()
        c = channels
        self.body = nn.Sequential(
            Linear(latent_size, 32 * c),
            nn.Unflatten(1, (32 * c, 1, 1)),
            FromPixel(32 * c, 4 * c, 5),  # (N, 4c, 5, 5)
            nn.ReLU(),
            Transposed(4 * c, 2 * c, 5, stride=2),  # (N, 2c, 13, 13)
            nn.ReLU(),
            Transposed(2 * c, c, 6, stride=2),  # (N, c, 30, 30)
            nn.ReLU(),
            ToFrame(c, 3, 6, stride=2),  # (N, 3, 64, 64)
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.body(z)
        return x
