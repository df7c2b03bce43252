"""Training a vision model from episodes to files: complete, repeatable, resumed after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.vision_training.test_held_out import shades, write_episodes
from wm.core.params import SharedParams
from wm.nn.compute import Compute
from wm.runtime.progress import Progress
from wm.vision.metrics.held_out import HeldOutFrames
from wm.vision.models.vae import learner as vae
from wm.vision.models.vaegan import learner as vaegan
from wm.vision.networks.trained import load
from wm.vision.training import train as training
from wm.vision.training.train import TrainingFrames

CPU = Compute(torch.device("cpu"), torch.float32)
SHARED = SharedParams(vision="vae", scale="smoke", seed=0, precision="fp32", threads=1)
SETTINGS = {"steps": 4, "batch_size": 3, "validate_every": 2, "held_out_frames": 5}


def train(name: str) -> None:
    if name == "vae":
        settings = vae.Settings(
            latent_size=4, channels=4, learning_rate=1e-3, decay=True, **SETTINGS
        )
        learner = vae.create_learner(settings, CPU, seed=0)
        training.train("vae", learner, settings, SHARED, CPU)
    else:
        adversarial = vaegan.Settings(latent_size=4, depth=2, warmup=2, **SETTINGS)
        vaegan_learner = vaegan.create_learner(adversarial, CPU, seed=0)
        training.train("vaegan", vaegan_learner, adversarial, SHARED, CPU)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two folders with the same ten episodes of noise."""
    both = [tmp_path / "one", tmp_path / "other"]
    for folder in both:
        (folder / "data/episodes").mkdir(parents=True)
        write_episodes(
            folder / "data/episodes",
            lambda id_: np.random.default_rng(id_).integers(0, 256, (4, 64, 64, 3), np.uint8),
        )
    return both


@pytest.mark.parametrize("name", ["vae", "vaegan"])
def test_killed_and_resumed_leaves_the_files_of_one_go(
    name: str, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = folders
    monkeypatch.chdir(whole)
    monkeypatch.setenv("DVC_ROOT", str(whole))
    train(name)

    monkeypatch.chdir(cut)
    monkeypatch.setenv("DVC_ROOT", str(cut))
    monkeypatch.setattr("wm.runtime.checkpoint.Checkpoint.due", lambda self: True)
    advance = Progress.advance

    def killed(self: Progress, *units: int, **numbers: float) -> None:
        advance(self, *units, **numbers)
        if self._done == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            train(name)
    assert not (cut / "models").exists()
    train(name)

    files = [
        f"models/{name}/weights.safetensors", f"models/{name}/config.json",
        f"metrics/train_{name}.json", f"plots/train_{name}.csv",
    ]  # fmt: skip
    for file in files:
        assert (cut / file).read_bytes() == (whole / file).read_bytes(), file
    assert load(whole / "models" / name, CPU).latent_size == 4
    curve = (whole / f"plots/train_{name}.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in curve] == ["step", "2", "4"]
    assert json.loads((whole / f"metrics/train_{name}.json").read_text())["mse"] > 0
    assert list((cut / "checkpoints").glob(f"train_{name}*/state*")) == []


@pytest.fixture
def episodes_of_shades(tmp_path: Path) -> Path:
    write_episodes(tmp_path, shades)
    return tmp_path


def test_held_out_episodes_are_kept_out_of_the_batches(episodes_of_shades: Path) -> None:
    training_frames = TrainingFrames(episodes_of_shades, 0, "test", CPU)
    frames = HeldOutFrames(episodes_of_shades, 3).frames
    held_out = {int(frame[0, 0, 0]) for frame in frames}
    batches = [training_frames.batch(step, 16) for step in range(20)]
    drawn = {round(float(x[0, 0, 0]) * 255) for batch in batches for x in batch}
    assert frames.shape == (3, 64, 64, 3)
    assert len(held_out) == 1
    assert len(drawn) == 9
    assert not held_out & drawn


def test_a_batch_is_a_function_of_its_step(episodes_of_shades: Path) -> None:
    frames = TrainingFrames(episodes_of_shades, 0, "test", CPU)
    assert torch.equal(frames.batch(3, 8), frames.batch(3, 8))
    assert not torch.equal(frames.batch(3, 8), frames.batch(4, 8))
