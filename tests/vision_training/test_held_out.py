"""Held-out frames: which they are, and what a model is measured by on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from wm.core import episodes
from wm.nn.compute import Compute
from wm.nn.posterior import kl_divergence
from wm.vision.metrics import held_out as module
from wm.vision.metrics.held_out import HeldOutFrames
from wm.vision.models.vae.networks import Config, build
from wm.vision.networks.trained import Autoencoder, Vision

CPU = Compute(torch.device("cpu"), torch.float32)


def write_episodes(directory: Path, frames: Callable[[int], np.ndarray]) -> None:
    """Writes ten episodes of three steps; `frames` gives those of an id, uint8 (4, 64, 64, 3)."""
    for id_ in range(10):
        steps = np.zeros((3, 3), np.float32), np.zeros(3)
        telemetry = np.zeros((4, 6), np.float32)
        episode = episodes.Episode(id_, id_, frames(id_), *steps, False, True, telemetry)
        episodes.save(directory / episodes.file_name(id_), episode)


def shades(id_: int) -> np.ndarray:
    """Frames that all have the colour of their episode's id."""
    return np.full((4, 64, 64, 3), 20 * id_, np.uint8)


def model() -> Vision:
    torch.manual_seed(0)
    return Vision(Autoencoder(*build(Config(latent_size=6, channels=4))), 6, CPU)


@pytest.fixture
def held_out(tmp_path: Path) -> HeldOutFrames:
    write_episodes(tmp_path, shades)
    return HeldOutFrames(tmp_path, 3)


def test_frames_are_evenly_spaced_over_the_held_out_episodes(tmp_path: Path) -> None:
    write_episodes(
        tmp_path, lambda id_: shades(id_) + np.arange(4, dtype=np.uint8)[:, None, None, None]
    )
    (id_,) = episodes.split(range(10))[1]
    for count, places in ((2, [0, 3]), (4, [0, 1, 2, 3]), (100, [0, 1, 2, 3])):
        frames = HeldOutFrames(tmp_path, count).frames
        assert frames[:, 0, 0, 0].tolist() == [20 * id_ + place for place in places]


def test_measure(held_out: HeldOutFrames) -> None:
    vision = model()
    metrics = held_out.measure(vision)
    assert set(metrics) == {"mse", "psnr", "ssim", "road_iou", "sharpness", "kl"}
    error = (held_out.frames / 255 - held_out.reconstruct(vision)[0] / 255) ** 2
    assert metrics["mse"] == pytest.approx(error.mean())
    mu, logvar = vision.encode(held_out.frames)
    assert metrics["kl"] == pytest.approx(float(kl_divergence(mu, logvar).sum() / 3), rel=1e-5)


def test_batches_do_not_change_the_result(
    held_out: HeldOutFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    vision = model()
    whole, pictures = held_out.measure(vision), held_out.reconstruct(vision)[0]
    monkeypatch.setattr(module, "BATCH", 2)  # 3 frames: one batch is shorter
    assert held_out.measure(vision) == pytest.approx(whole, rel=1e-4)
    assert np.abs(held_out.reconstruct(vision)[0].astype(int) - pictures).max() <= 1
