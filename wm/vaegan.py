"""The VAE-GAN's networks (Larsen et al. 2016, arXiv:1512.09300); `adversarial` trains them.

The source of the `seed` networks also builds a first discriminator convolution of d filters whose
output nothing reads; it is left out.
"""

import itertools
from typing import Literal

from torch import Tensor, nn

from wm import vae
from wm.convolutions import Transposed
from wm.params import Params, Size

CORNER = 8  # rows and columns of the seed encoder's last feature map
FEATURE_MAP = 16  # and of the discriminator's
GROUPS = 4


class VaeganConfig(Params):
    """What defines the networks and the loss."""

    latent_size: Size = 32
    networks: Literal["seed", "vae"] = "vae"
    channels: Size = 32  # of the first convolution of the VAE's networks
    depth: Size = 8  # d: width of the discriminator and of the seed networks
    heads: Literal["tanh", "linear"] = "linear"  # the seed encoder's mean and log-variance
    recipe: Literal["larsen", "minimax", "balanced", "anchored"] = "anchored"


def _down(channels_in: int, channels_out: int, stride: int = 2) -> nn.Conv2d:
    # Keras pads "same" by 1 before and 2 after; 2 before and 1 after is the same network on
    # frames that are mirrored on both axes, and needs no padding layer of its own
    return nn.Conv2d(channels_in, channels_out, 5, stride=stride, padding=2)


def _up(channels_in: int, channels_out: int) -> Transposed:
    return Transposed(channels_in, channels_out, 5, 2, padding=2, output_padding=1)


class SeedEncoder(nn.Module):
    """(N, 3, 64, 64) in [0, 1] -> mu, logvar (N, latent_size), with `tanh` heads in [-1, 1]."""

    def __init__(self, latent_size: int, depth: int, heads: Literal["tanh", "linear"]) -> None:
        super().__init__()
        widths = [3, 2 * depth, 4 * depth, 8 * depth]
        layers: list[nn.Module] = []
        for channels_in, channels_out in itertools.pairwise(widths):
            layers += [_down(channels_in, channels_out), nn.BatchNorm2d(channels_out), _leaky()]
        layers += [nn.Flatten(), nn.Linear(CORNER * CORNER * widths[-1], latent_size)]
        self.body = nn.Sequential(*layers, nn.BatchNorm1d(latent_size), _leaky())
        self.heads = nn.Linear(latent_size, 2 * latent_size)
        self.bounded = heads == "tanh"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out = self.heads(self.body(x))
        mu, logvar = (out.tanh() if self.bounded else out).chunk(2, dim=1)
        return mu, logvar


class SeedDecoder(nn.Module):
    """z (N, latent_size) -> (N, 3, 64, 64) in [0, 1]."""

    def __init__(self, latent_size: int, depth: int) -> None:
        super().__init__()
        size = CORNER * CORNER * 8 * depth
        layers: list[nn.Module] = [
            nn.Linear(latent_size, size),
            nn.BatchNorm1d(size),
            _leaky(),
            nn.Unflatten(1, (8 * depth, CORNER, CORNER)),
        ]
        widths = [8 * depth, 8 * depth, 4 * depth, depth]
        for channels_in, channels_out in itertools.pairwise(widths):
            layers += [_up(channels_in, channels_out), nn.BatchNorm2d(channels_out), _leaky()]
        self.body = nn.Sequential(*layers, _down(depth, 3, stride=1), nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.body(z)
        return x


class Discriminator(nn.Module):
    """(N, 3, 64, 64) -> features (N, 8d, 16, 16), for the learned similarity; logit (N, 1).

    Without `batch_norm`, groups of channels are normalised frame by frame instead: real frames and
    pictures pass separately, and BatchNorm would judge each kind by its own mean.
    """

    def __init__(self, depth: int, batch_norm: bool) -> None:
        super().__init__()
        wide = 8 * depth

        def norm(channels: int) -> nn.Module:
            return nn.BatchNorm2d(channels) if batch_norm else nn.GroupNorm(GROUPS, channels)

        self.body = nn.Sequential(
            _down(3, 4 * depth),
            _leaky(),
            norm(4 * depth),
            _down(4 * depth, wide),
            norm(wide),
            _leaky(),
            _down(wide, wide, stride=1),
        )
        self.head = nn.Sequential(
            norm(wide),
            _leaky(),
            nn.Flatten(),
            nn.Linear(FEATURE_MAP * FEATURE_MAP * wide, wide),
            nn.BatchNorm1d(wide) if batch_norm else nn.Identity(),
            _leaky(),
            nn.Linear(wide, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return features, self.head(features).float()


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2)


def build(config: VaeganConfig) -> tuple[nn.Module, nn.Module]:
    """The encoder and the decoder that `config` names, with fresh weights."""
    if config.networks == "vae":
        return (
            vae.Encoder(config.latent_size, config.channels),
            vae.Decoder(config.latent_size, config.channels),
        )
    return (
        SeedEncoder(config.latent_size, config.depth, config.heads),
        SeedDecoder(config.latent_size, config.depth),
    )


class VAEGAN(nn.Module):
    """All three networks under the names that weights.safetensors uses."""

    def __init__(self, config: VaeganConfig) -> None:
        super().__init__()
        self.encoder, self.decoder = build(config)
        self.discriminator = Discriminator(config.depth, batch_norm=config.recipe != "anchored")
