"""Training a vision model from episodes to files: complete, repeatable, resumed after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from wm import adversarial, episodes, training, vae, vaegan, vision_training
from wm.compute import Compute
from wm.params import Run
from wm.vision import load
from wm.vision_training import VisionTraining

CPU = Compute(torch.device("cpu"), torch.float32)
RUN = Run(vision="vae", scale="smoke", seed=0, precision="fp32", threads=1)
SETTINGS = VisionTraining(steps=4, batch_size=3, validate_every=2, held_out_frames=5)


def train(kind: str) -> None:
    if kind == "vae":
        config = vae.VaeConfig(latent_size=4, channels=4)
        learner = vae.VaeLearner(config, CPU, vae.Schedule(1e-3, 4, True), seed=0)
        vision_training.train("vae", learner, config, SETTINGS, RUN, CPU)
    else:
        gan = vaegan.VaeganConfig(latent_size=4, depth=2)
        recipe = adversarial.RECIPES[gan.recipe]
        pupil = adversarial.VaeganLearner(gan, CPU, recipe, steps=4, warmup=2, seed=0)
        vision_training.train("vaegan", pupil, gan, SETTINGS, RUN, CPU)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two folders with the same ten episodes of noise."""
    both = [tmp_path / "one", tmp_path / "other"]
    for folder in both:
        (folder / "data/episodes").mkdir(parents=True)
        for id_ in range(10):
            frames = np.random.default_rng(id_).integers(0, 256, (4, 64, 64, 3), np.uint8)
            steps = np.zeros((3, 3), np.float32), np.zeros(3)
            telemetry = np.zeros((4, 6), np.float32)
            episode = episodes.Episode(id_, id_, frames, *steps, False, True, telemetry)
            episodes.save(folder / "data/episodes" / episodes.file_name(id_), episode)
    return both


@pytest.mark.parametrize("kind", ["vae", "vaegan"])
def test_killed_and_resumed_leaves_the_files_of_one_go(
    kind: str, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = folders
    monkeypatch.chdir(whole)
    monkeypatch.setenv("DVC_ROOT", str(whole))
    train(kind)

    monkeypatch.chdir(cut)
    monkeypatch.setenv("DVC_ROOT", str(cut))
    monkeypatch.setattr("wm.scratch.Checkpoint.due", lambda self: True)
    advance = training.Progress.advance

    def killed(self: training.Progress, *units: int, **numbers: float) -> None:
        advance(self, *units, **numbers)
        if self._done == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.Progress, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            train(kind)
    assert not (cut / "models").exists()
    train(kind)

    names = [
        f"models/{kind}/weights.safetensors", f"models/{kind}/config.json",
        f"metrics/train_{kind}.json", f"plots/train_{kind}.csv",
        f"plots/train_{kind}_reconstructions.png",
    ]  # fmt: skip
    for name in names:
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    assert load(whole / "models" / kind, CPU).latent_size == 4
    curve = (whole / f"plots/train_{kind}.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in curve] == ["step", "2", "4"]
    assert json.loads((whole / f"metrics/train_{kind}.json").read_text())["mse"] > 0
    assert list((cut / "checkpoints").glob(f"train_{kind}*/state*")) == []
