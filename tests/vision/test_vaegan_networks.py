"""The VAE-GAN's networks: shapes, the number of parameters, and Keras' padding."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from wm.vision.models.vaegan.discriminator import VAEGAN
from wm.vision.models.vaegan.networks import Config, SeedDecoder, SeedEncoder


def noise(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def frames(n: int = 4, seed: int = 0) -> torch.Tensor:
    x = torch.rand(n, 64, 64, 3, generator=noise(seed))
    return x.permute(0, 3, 1, 2)


@pytest.mark.parametrize("networks", ["seed", "vae"])
def test_shapes(networks: str) -> None:
    model = VAEGAN(
        Config.model_validate({"latent_size": 6, "channels": 4, "depth": 2, "networks": networks})
    )
    mu, logvar = model.encoder(frames())
    assert mu.shape == logvar.shape == (4, 6)
    picture = model.decoder(mu)
    assert picture.shape == (4, 3, 64, 64)
    assert 0 <= picture.min().item() <= picture.max().item() <= 1
    features, logit = model.discriminator(picture)
    assert features.shape == (4, 16, 16, 16)
    assert logit.shape == (4, 1)
    assert logit.dtype == torch.float32


def test_seed_networks_have_the_sources_number_of_parameters() -> None:
    """Counted by hand from the description: kernel 5, biases, BatchNorm's scale and offset."""
    d, z = 4, 32

    def conv(a: int, b: int) -> int:
        return 25 * a * b + b

    def dense(a: int, b: int) -> int:
        return a * b + b

    config = Config(networks="seed", depth=d, recipe="larsen")
    model = VAEGAN(config)
    encoder = conv(3, 2 * d) + conv(2 * d, 4 * d) + conv(4 * d, 8 * d) + 2 * 14 * d
    encoder += dense(64 * 8 * d, z) + 2 * z + 2 * dense(z, z)
    decoder = dense(z, 64 * 8 * d) + 2 * 64 * 8 * d
    decoder += conv(8 * d, 8 * d) + conv(8 * d, 4 * d) + conv(4 * d, d) + 2 * 13 * d + conv(d, 3)
    discriminator = conv(3, 4 * d) + conv(4 * d, 8 * d) + conv(8 * d, 8 * d) + 2 * 20 * d
    discriminator += dense(256 * 8 * d, 8 * d) + 2 * 8 * d + dense(8 * d, 1)
    for network, expected in [
        (model.encoder, encoder),
        (model.decoder, decoder),
        (model.discriminator, discriminator),
    ]:
        assert sum(p.numel() for p in network.parameters()) == expected


def test_convolutions_are_keras_same_on_mirrored_frames() -> None:
    """Keras pads by 1 before and 2 after, and crops a transposed convolution so."""
    layer = SeedEncoder(6, 2, "tanh").body[0]
    assert isinstance(layer, nn.Conv2d)
    x = frames()
    keras = F.conv2d(F.pad(x, (1, 2, 1, 2)), layer.weight, layer.bias, stride=2)
    mirrored = nn.Conv2d(3, 4, 5, stride=2, padding=2)
    mirrored.weight.data, mirrored.bias = layer.weight.data.flip(2, 3), layer.bias
    torch.testing.assert_close(mirrored(x.flip(2, 3)).flip(2, 3), keras)
    up = next(m for m in SeedDecoder(6, 2).body if isinstance(m, nn.ConvTranspose2d))
    y = torch.rand(2, 16, 8, 8, generator=noise(0))
    keras = F.conv_transpose2d(y, up.weight, up.bias, stride=2)[:, :, 1:-2, 1:-2]
    up.weight.data = up.weight.data.flip(2, 3)
    torch.testing.assert_close(up(y.flip(2, 3)).flip(2, 3), keras)


def test_tanh_heads_are_bounded_and_linear_ones_are_not() -> None:
    for heads, bounded in [("tanh", True), ("linear", False)]:
        encoder = SeedEncoder(6, 2, heads)  # type: ignore[arg-type]
        encoder.heads.bias.data += 3
        mu, logvar = encoder(frames())
        assert (max(mu.max().item(), logvar.max().item()) <= 1) == bounded
