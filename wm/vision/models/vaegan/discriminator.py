"""The VAE-GAN's discriminator (Larsen et al. 2016, arXiv:1512.09300), which only training needs.

The Keras source also builds a first convolution of d filters whose output nothing reads; it is left
out.
"""

from __future__ import annotations

from torch import Tensor, nn

from wm.nn.functions import Linear
from wm.vision.models.vaegan.networks import Config, build, down, leaky
from wm.vision.networks.trained import Autoencoder

FEATURE_MAP = 16
"""Rows and columns of the features."""
GROUPS = 4
"""Groups of channels that are normalised together where there is no BatchNorm."""


class Discriminator(nn.Module):
    """The discriminator: x, (N, 3, 64, 64), to features, (N, 8d, 16, 16), for the learned
    similarity, and a logit, (N, 1), that x is real.

    Without `batch_norm`, groups of channels are normalised frame by frame instead: real frames and
    reconstructions pass separately, and BatchNorm would judge each kind by its own mean.
    """

    def __init__(self, depth: int, batch_norm: bool) -> None:
        super().__init__()
        wide = 8 * depth

        def norm(channels: int) -> nn.Module:
            return nn.BatchNorm2d(channels) if batch_norm else nn.GroupNorm(GROUPS, channels)

        self.body = nn.Sequential(
            down(3, 4 * depth),
            leaky(),
            norm(4 * depth),
            down(4 * depth, wide),
            norm(wide),
            leaky(),
            down(wide, wide, stride=1),
        )
        self.head = nn.Sequential(
            norm(wide),
            leaky(),
            nn.Flatten(),
            Linear(FEATURE_MAP * FEATURE_MAP * wide, wide),
            nn.BatchNorm1d(wide) if batch_norm else nn.Identity(),
            leaky(),
            Linear(wide, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return features, self.head(features).float()


class VAEGAN(Autoencoder):
    """All three networks, under the names that weights.safetensors uses."""

    def __init__(self, config: Config) -> None:
        super().__init__(*build(config))
        self.discriminator = Discriminator(config.depth, batch_norm=config.recipe != "anchored")
