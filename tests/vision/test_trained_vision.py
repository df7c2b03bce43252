"""A trained vision model: loading, its errors, and that it computes what its networks do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from verify.workspace import ROOT
from wm.core import artifacts
from wm.core.errors import UserError
from wm.nn import weights
from wm.nn.compute import Compute
from wm.vision.models.vae import networks as vae
from wm.vision.models.vaegan import networks as vaegan
from wm.vision.models.vaegan.discriminator import VAEGAN
from wm.vision.networks.pixels import to_float, to_frames
from wm.vision.networks.trained import Autoencoder, Vision, load, read_config, save

FP32 = Compute(torch.device("cpu"), torch.float32)
BF16 = Compute(torch.device("cpu"), torch.bfloat16)
JSON = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
SEED = vaegan.Config(latent_size=6, networks="seed", depth=2)


def frames(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def with_statistics(model: nn.Module) -> nn.Module:
    """As after training: BatchNorm with statistics, scales and offsets of its own."""
    noise = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=noise)
            module.running_var = torch.rand(module.num_features, generator=noise) + 0.5
            module.weight.data = torch.rand(module.num_features, generator=noise) + 0.5
            module.bias.data = torch.randn(module.num_features, generator=noise)
    return model


def saved(directory: Path, kind: str) -> Path:
    if kind == "vae":
        config = vae.Config(latent_size=6, channels=4)
        save(directory, "vae", Autoencoder(*vae.build(config)), config.model_dump())
    else:
        save(directory, "vaegan", VAEGAN(SEED), SEED.model_dump())
    return directory


@pytest.mark.parametrize("kind", ["vae", "vaegan"])
@pytest.mark.parametrize("n", [1, 4])
def test_load_encode_decode(tmp_path: Path, kind: str, n: int) -> None:
    vision = load(saved(tmp_path, kind), BF16)
    assert vision.latent_size == 6
    mu, logvar = vision.encode(frames(n))
    assert mu.shape == logvar.shape == (n, 6)
    assert mu.dtype == logvar.dtype == torch.float32
    pictures = vision.decode(mu)
    assert pictures.shape == (n, 64, 64, 3)
    assert pictures.dtype == np.uint8


def test_folded_networks_are_the_trained_ones_in_eval_mode() -> None:
    model = with_statistics(VAEGAN(SEED)).eval()
    assert isinstance(model, VAEGAN)
    vision = Vision(model, 6, FP32)
    mu, logvar = vision.encode(frames(4))
    with torch.inference_mode():
        expected = model.encoder(to_float(frames(4), FP32.device))
        picture = to_frames(model.decoder(mu))
    torch.testing.assert_close((mu, logvar), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(vision.decode(mu).astype(int) - picture).max() <= 1


def test_bf16_stays_close_to_fp32() -> None:
    model = Autoencoder(*vae.build(vae.Config(latent_size=6, channels=4)))
    exact = Vision(model, 6, FP32).encode(frames(4))[0]
    fast = Vision(model, 6, BF16).encode(frames(4))[0]
    assert float((fast - exact).abs().max()) < 0.05 * float(exact.abs().max())


@pytest.mark.parametrize("compute", [FP32, BF16])
def test_latents_do_not_depend_on_the_frames_beside(compute: Compute) -> None:
    """To the bit in a batch of the same size: shards of a rollout are of fixed size."""
    model = with_statistics(VAEGAN(SEED))
    assert isinstance(model, VAEGAN)
    vision = Vision(model, 6, compute)
    batch = frames(8)
    others = frames(8, seed=1)
    others[2] = batch[2]
    together = vision.encode(batch)[0][2]
    assert torch.equal(together, vision.encode(others)[0][2])
    torch.testing.assert_close(together, vision.encode(batch[2:3])[0][0], rtol=0.05, atol=0.05)


def test_a_vision_model_does_not_follow_further_training() -> None:
    model = Autoencoder(*vae.build(vae.Config(latent_size=6, channels=4)))
    vision = Vision(model, 6, FP32)
    before = vision.encode(frames(2))[0]
    with torch.no_grad():
        model.encoder.heads.bias.add_(1)
    assert torch.equal(vision.encode(frames(2))[0], before)
    assert model.training
    assert model.encoder.heads.weight.requires_grad


def test_a_loaded_model_is_the_saved_one(tmp_path: Path) -> None:
    model = with_statistics(VAEGAN(SEED))
    assert isinstance(model, VAEGAN)
    save(tmp_path, "vaegan", model, SEED.model_dump())
    assert read_config(tmp_path) == SEED
    loaded, vision = load(tmp_path, FP32), Vision(model, 6, FP32)
    for ours, theirs in zip(loaded.encode(frames(3)), vision.encode(frames(3)), strict=True):
        assert torch.equal(ours, theirs)
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(loaded.decode(z), vision.decode(z))


def test_a_vaegan_is_loaded_without_the_code_that_only_training_needs(tmp_path: Path) -> None:
    program = """
import sys
import torch
from wm.nn.compute import Compute
from wm.vision.networks import trained
vision = trained.load(sys.argv[1], Compute(torch.device("cpu"), torch.float32))
assert vision.latent_size == 6
print(*(name for name in sys.modules if name.startswith("wm.")), sep="\\n")
"""
    command = [sys.executable, "-c", program, str(saved(tmp_path, "vaegan"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "wm.vision.models.vaegan.networks" in imported
    assert "wm.vision.models.vaegan.discriminator" not in imported
    for package in (
        "wm.vision.training",
        "wm.vision.metrics",
        "wm.training",
        "wm.vision.models.vae.",
    ):
        assert not {name for name in imported if name.startswith(package)}, package


def test_load_errors_name_the_file_and_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        load(tmp_path / "nowhere", FP32)
    directory = saved(tmp_path, "vae")
    config = artifacts.read_json(directory / "config.json")
    for change, message in [
        ({"latent_size": 7}, "shape"),
        ({"kind": "gan"}, "kind is 'gan'"),
        ({"depth": 3}, "depth"),
    ]:
        artifacts.write_json(directory / "config.json", config | change)
        with pytest.raises(UserError, match=message):
            load(directory, FP32)


@pytest.mark.at_large
@given(key=st.sampled_from(["kind", *vaegan.Config.model_fields, "other"]), value=JSON)
@pytest.mark.parametrize("kind", ["vae", "vaegan"])
def test_any_value_in_the_config_loads_or_is_refused_in_one_line(
    kind: str, key: str, value: object, tmp_path_factory: Any
) -> None:
    directory = saved(tmp_path_factory.getbasetemp() / kind, kind)
    config = weights.read_config(directory)
    (directory / "config.json").write_text(json.dumps(config | {key: value}))
    try:
        load(directory, FP32)
    except UserError as error:
        assert str(directory) in str(error)
        assert "\n" not in str(error)


class Skipping(nn.Module):
    """An encoder in which the convolution that is registered first is not all that sees x."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 64)
        self.skip = nn.Conv2d(3, 2, 64)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.stem(x).flatten(1), self.skip(x).flatten(1)


class Pooling(nn.Module):
    """An encoder that begins with no convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.heads = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mu, logvar = self.heads(self.pool(x).flatten(1)).chunk(2, dim=1)
        return mu, logvar


@pytest.mark.parametrize("encoder", [Skipping(), Pooling()])
def test_whatever_an_encoder_begins_with_it_sees_values_from_0_to_1(encoder: nn.Module) -> None:
    vision = Vision(Autoencoder(encoder, nn.Linear(2, 2)), 2, FP32)
    seen = frames(3)
    expected = encoder(to_float(seen, FP32.device))
    for found, wanted in zip(vision.encode(seen), expected, strict=True):
        torch.testing.assert_close(found, wanted.detach(), rtol=1e-4, atol=1e-4)
