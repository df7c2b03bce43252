"""Vision: loading, its errors, and that it computes what the trained networks compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wm import artifacts, episodes, vae, vaegan, vision, weights
from wm.compute import Compute
from wm.errors import UserError
from wm.vision_data import VisionData

FP32 = Compute(torch.device("cpu"), torch.float32)
BF16 = Compute(torch.device("cpu"), torch.bfloat16)
JSON = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
SEED = vaegan.VaeganConfig(latent_size=6, networks="seed", depth=2)


def frames(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def stirred(model: nn.Module) -> nn.Module:
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
        config = vae.VaeConfig(latent_size=6, channels=4)
        weights.save(directory, vae.VAE(config), {"kind": "vae", **config.model_dump()})
    else:
        weights.save(directory, vaegan.VAEGAN(SEED), {"kind": "vaegan", **SEED.model_dump()})
    return directory


def test_float_and_back_is_exact_and_float_is_channels_last() -> None:
    x = vision.to_float(frames(3), FP32.device)
    assert x.shape == (3, 3, 64, 64)
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert float(x.min()) == 0.0
    assert float(x.max()) == 1.0
    assert np.array_equal(vision.to_frames(x), frames(3))


def test_to_frames_rounds_and_clips() -> None:
    x = torch.tensor([-0.1, 0.4 / 255, 0.6 / 255, 1.1]).reshape(4, 1, 1, 1).expand(4, 3, 64, 64)
    assert vision.to_frames(x)[:, 0, 0, 0].tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("kind", ["vae", "vaegan"])
@pytest.mark.parametrize("n", [1, 4])
def test_load_encode_decode(tmp_path: Path, kind: str, n: int) -> None:
    eyes = vision.load(saved(tmp_path, kind), BF16)
    assert eyes.latent_size == 6
    mu, logvar = eyes.encode(frames(n))
    assert mu.shape == logvar.shape == (n, 6)
    assert mu.dtype == logvar.dtype == torch.float32
    pictures = eyes.decode(mu)
    assert pictures.shape == (n, 64, 64, 3)
    assert pictures.dtype == np.uint8


def test_folded_networks_are_the_trained_ones_in_eval_mode() -> None:
    model = stirred(vaegan.VAEGAN(SEED)).eval()
    assert isinstance(model, vaegan.VAEGAN)
    eyes = vision.Vision(model.encoder, model.decoder, 6, FP32)
    mu, logvar = eyes.encode(frames(4))
    with torch.inference_mode():
        expected = model.encoder(vision.to_float(frames(4), FP32.device))
        picture = vision.to_frames(model.decoder(mu))
    torch.testing.assert_close((mu, logvar), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(eyes.decode(mu).astype(int) - picture).max() <= 1


def test_bf16_stays_close_to_fp32() -> None:
    model = vae.VAE(vae.VaeConfig(latent_size=6, channels=4))
    exact = vision.Vision(model.encoder, model.decoder, 6, FP32).encode(frames(4))[0]
    fast = vision.Vision(model.encoder, model.decoder, 6, BF16).encode(frames(4))[0]
    assert float((fast - exact).abs().max()) < 0.05 * float(exact.abs().max())


@pytest.mark.parametrize("compute", [FP32, BF16])
def test_latents_do_not_depend_on_the_frames_beside(compute: Compute) -> None:
    """To the bit in a batch of the same size: shards of a rollout are of fixed size."""
    model = stirred(vaegan.VAEGAN(SEED))
    assert isinstance(model, vaegan.VAEGAN)
    eyes = vision.Vision(model.encoder, model.decoder, 6, compute)
    batch = frames(8)
    others = frames(8, seed=1)
    others[2] = batch[2]
    together = eyes.encode(batch)[0][2]
    assert torch.equal(together, eyes.encode(others)[0][2])
    torch.testing.assert_close(together, eyes.encode(batch[2:3])[0][0], rtol=0.05, atol=0.05)


def test_a_vision_does_not_follow_further_training() -> None:
    model = vae.VAE(vae.VaeConfig(latent_size=6, channels=4))
    eyes = vision.Vision(model.encoder, model.decoder, 6, FP32)
    before = eyes.encode(frames(2))[0]
    with torch.no_grad():
        model.encoder.heads.bias.add_(1)
    assert torch.equal(eyes.encode(frames(2))[0], before)
    assert model.training
    assert model.encoder.heads.weight.requires_grad


def test_load_errors_name_the_file_and_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        vision.load(tmp_path / "nowhere", FP32)
    directory = saved(tmp_path, "vae")
    config = artifacts.read_json(directory / "config.json")
    for change, message in [
        ({"latent_size": 7}, "shape"),
        ({"kind": "gan"}, "kind is 'gan'"),
        ({"depth": 3}, "depth"),
    ]:
        artifacts.write_json(directory / "config.json", config | change)
        with pytest.raises(UserError, match=message):
            vision.load(directory, FP32)


@pytest.fixture
def data(tmp_path: Path) -> VisionData:
    """Ten episodes whose frames all have the colour of their episode's id."""
    for id_ in range(10):
        shades = np.full((4, 64, 64, 3), 20 * id_, np.uint8)
        steps = np.zeros((3, 3), np.float32), np.zeros(3)
        telemetry = np.zeros((4, 6), np.float32)
        episode = episodes.Episode(id_, id_, shades, *steps, False, True, telemetry)
        episodes.save(tmp_path / episodes.file_name(id_), episode)
    return VisionData(tmp_path, held_out_frames=3, seed=0, compute=FP32)


def test_data_keeps_held_out_episodes_out_of_the_batches(data: VisionData) -> None:
    held_out = {int(frame[0, 0, 0]) for frame in data.held_out}
    drawn = {round(float(x[0, 0, 0]) * 255) for step in range(20) for x in data.batch(step, 16)}
    assert data.held_out.shape == (3, 64, 64, 3)
    assert len(held_out) == 1
    assert len(drawn) == 9
    assert not held_out & drawn


def test_a_batch_is_a_function_of_its_step(data: VisionData) -> None:
    assert torch.equal(data.batch(3, 8), data.batch(3, 8))
    assert not torch.equal(data.batch(3, 8), data.batch(4, 8))


def test_measure(data: VisionData) -> None:
    model = vae.VAE(vae.VaeConfig(latent_size=6, channels=4))
    eyes = vision.Vision(model.encoder, model.decoder, 6, FP32)
    metrics = data.measure(eyes)
    assert set(metrics) == {"mse", "psnr", "ssim", "road_iou", "sharpness", "kl"}
    error = (data.held_out / 255 - data.reconstruct(eyes) / 255) ** 2
    assert metrics["mse"] == pytest.approx(error.mean())
    mu, logvar = eyes.encode(data.held_out)
    assert metrics["kl"] == pytest.approx(float(vae.kl_divergence(mu, logvar).sum() / 3), rel=1e-5)


@pytest.mark.at_large
@given(key=st.sampled_from(["kind", *vaegan.VaeganConfig.model_fields, "other"]), value=JSON)
@pytest.mark.parametrize("kind", ["vae", "vaegan"])
def test_any_value_in_the_config_loads_or_is_refused_in_one_line(
    kind: str, key: str, value: object, tmp_path_factory: Any
) -> None:
    directory = saved(tmp_path_factory.getbasetemp() / kind, kind)
    config = weights.read_config(directory)
    (directory / "config.json").write_text(json.dumps(config | {key: value}))
    try:
        vision.load(directory, FP32)
    except UserError as error:
        assert str(directory) in str(error)
        assert "\n" not in str(error)
