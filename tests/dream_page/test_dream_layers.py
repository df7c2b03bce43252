"""Decoders as layers: which are known, and that fewer weights compute the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from play import published
from tests.dream_page import made
from wm.control.dream_page import networks
from wm.control.dream_page.networks import Layer
from wm.vision.models.vae import networks as vae
from wm.vision.models.vaegan import networks as vaegan

UNKNOWN = {
    "padding_mode": [
        nn.Linear(3, 12),
        nn.Unflatten(1, (3, 2, 2)),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
    ],
    "an upsampling": [nn.Linear(3, 48), nn.Unflatten(1, (3, 4, 4)), nn.Upsample((64, 64))],
    "a stride": [nn.Linear(3, 48), nn.Unflatten(1, (3, 4, 4)), nn.Conv2d(3, 3, 2, stride=2)],
    "groups": [nn.Linear(3, 48), nn.Unflatten(1, (3, 4, 4)), nn.ConvTranspose2d(3, 3, 4, groups=3)],
    "no frame": [nn.Linear(3, 48), nn.Sigmoid()],
    "an activation first": [nn.ReLU(), nn.Linear(3, 12288), nn.Unflatten(1, (3, 64, 64))],
}


class Doubled(nn.Module):
    """Does more than its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 12288), nn.Unflatten(1, (3, 64, 64)))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = 2 * self.body(z)
        return x


def computed(layers: list[Layer], z: np.ndarray) -> np.ndarray:
    """What the layers make of z, by their definition, one pixel and one weight at a time."""
    x = z.astype(np.float64)
    for layer in layers:
        if layer.stride:
            kernel = layer.weight.shape[0]
            rows, columns, _ = x.shape
            whole = np.zeros((*(layer.stride * side + kernel + 64 for side in (rows, columns)),
                              layer.weight.shape[3]))  # fmt: skip
            for row in range(rows):
                for column in range(columns):
                    top, left = row * layer.stride, column * layer.stride
                    made_of = np.tensordot(x[row, column], layer.weight, (0, 2))
                    whole[top : top + kernel, left : left + kernel] += made_of
            height, width, _ = layer.shape
            cut = (
                slice(layer.padding, layer.padding + height),
                slice(layer.padding, layer.padding + width),
            )
            x = whole[cut] + layer.bias
        else:
            x = (layer.weight @ x.ravel() + layer.bias).reshape(layer.shape)
        x = {
            "": lambda v, _: v,
            "relu": lambda v, _: np.maximum(v, 0),
            "leaky": lambda v, slope: np.where(v > 0, v, slope * v),
            "sigmoid": lambda v, _: 1 / (1 + np.exp(-v)),
            "tanh": lambda v, _: np.tanh(v),
        }[layer.activation](x, layer.slope)
    return x


def dcgan() -> nn.Sequential:
    """A decoder whose first layer of channels is dense, and normalised channel by channel."""
    norm = nn.BatchNorm2d(4)
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        assert tensor is not None
        nn.init.uniform_(tensor, 0.5, 1.5)
    return nn.Sequential(
        nn.Linear(3, 4 * 32 * 32), nn.Unflatten(1, (4, 32, 32)), norm, nn.ReLU(),
        nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1), nn.Sigmoid(),
    )  # fmt: skip


def decoders(folder: Path) -> dict[str, tuple[nn.Module, int]]:
    torch.manual_seed(0)
    return {
        "published": (networks.decoder_of(published.HERE / "vae-0" / "vision"), 32),
        "vae": (vae.build(vae.Config(latent_size=5, channels=2))[1].eval(), 5),
        "vaegan of the vae's": (
            vaegan.build(vaegan.Config(latent_size=5, channels=3))[1].eval(), 5,
        ),
        "vaegan of the seed's": (networks.decoder_of(made.run(folder) / "vision"), made.Z),
        "DCGAN's": (dcgan().eval(), 3),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["published", "vae", "vaegan of the vae's", "vaegan of the seed's", "DCGAN's"]
)
def test_layers_compute_what_the_decoder_computes(tmp_path: Path, name: str) -> None:
    decoder, size = decoders(tmp_path)[name]
    layers = networks.layers_of(decoder, size)
    assert layers is not None
    z = np.random.default_rng(0).normal(size=size)
    with torch.inference_mode():
        expected = decoder(torch.from_numpy(z.astype(np.float32))[None])[0].permute(1, 2, 0)
    assert np.abs(computed(layers, z) - expected.numpy()).max() < 1e-5


def test_dense_layers_in_a_row_become_one() -> None:
    decoder = networks.decoder_of(published.HERE / "vae-0" / "vision")
    layers = networks.layers_of(decoder, 32)
    assert layers is not None
    assert [layer.stride for layer in layers] == [0, 2, 2, 2]
    assert layers[0].weight.shape == (5 * 5 * 64, 32)
    kept = sum(array.size for array in networks.numbers(layers))
    assert kept < 0.15 * sum(p.numel() for p in decoder.parameters())


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_decoder_of_other_layers_is_not_known(name: str) -> None:
    assert networks.layers_of(nn.Sequential(*UNKNOWN[name]), 3) is None


def test_a_decoder_that_does_more_than_its_layers_is_not_known() -> None:
    assert networks.layers_of(Doubled().body, 3) is not None
    assert networks.layers_of(Doubled(), 3) is None


def test_numbers_are_one_row_of_float32() -> None:
    row = networks.flat([np.ones((2, 3)), np.zeros(4)])
    assert row.dtype == np.float32
    assert row.tolist() == [1] * 6 + [0] * 4
