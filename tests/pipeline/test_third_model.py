"""A third vision model in three places: a package, a stage, a section of parameters."""

import json
import re
import subprocess
from pathlib import Path

import yaml

from tests.conftest import Command, executed
from verify.stage import STAGES
from verify.workspace import set_param

NETWORKS = '''"""A linear autoencoder of a frame's coarse colours."""

from torch import Tensor, nn

from wm.core.params import Size
from wm.vision.networks.registry import VisionConfig


class Config(VisionConfig):
    """What defines the networks."""

    cells: Size = 4


class Encoder(nn.Module):
    """x (N, 3, 64, 64) -> mu, logvar (N, Z)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(config.cells)
        self.heads = nn.Linear(3 * config.cells**2, 2 * config.latent_size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.heads(self.pool(x).flatten(1)).chunk(2, dim=1)
        return mu, logvar


class Decoder(nn.Module):
    """z (N, Z) -> x (N, 3, 64, 64) in [0, 1]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.cells = config.cells
        self.body = nn.Linear(config.latent_size, 3 * config.cells**2)
        self.grow = nn.Upsample((64, 64))

    def forward(self, z: Tensor) -> Tensor:
        coarse = self.body(z).sigmoid().view(-1, 3, self.cells, self.cells)
        return self.grow(coarse)


def build(config: Config) -> tuple[nn.Module, nn.Module]:
    """A fresh encoder and decoder."""
    return Encoder(config), Decoder(config)
'''
LEARNER = '''"""Squared error alone."""

from typing import Any

import torch
from torch import Tensor

from wm.nn.compute import Compute
from wm.vision.models.tiny.networks import Config, build
from wm.vision.networks.trained import Autoencoder
from wm.vision.training.losses import squared_error
from wm.nn.compute import seeded
from wm.vision.training.settings import TrainingSettings


class Settings(Config, TrainingSettings):
    """The stage's parameters."""


class Learner:
    """Trains by SGD."""

    def __init__(self, config: Config, seed: int) -> None:
        with seeded(seed):
            self.model = Autoencoder(*build(config))
        self.config = config
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4)

    def step(self, batch: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        loss = squared_error(batch, self.model.decoder(self.model.encoder(batch)[0]))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"squared_error": loss.detach()}

    def summary(self) -> dict[str, float]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])


def create_learner(settings: Settings, compute: Compute, seed: int) -> Learner:
    """The learner before its first step."""
    config = Config(**settings.model_dump(include=set(Config.model_fields)))
    return Learner(config, seed)
'''
SECTION = """
train_tiny:
  latent_size: 6
  steps: 6
  batch_size: 8
  validate_every: 3
  held_out_frames: 20
"""


def add_stage(repository: Path) -> None:
    """The entry in dvc.yaml: train_vae's, under another name."""
    file = repository / "dvc.yaml"
    text = file.read_text()
    start = text.index("  train_vae:\n")
    following = re.compile(r"(?m)^  \w+:\n").search(text, start + 1)
    assert following is not None
    end = following.start()
    entry = text[start:end].replace("presets.${scale}.train_vae", "@").replace("vae", "tiny")
    entry = entry.replace(', "@"', "")
    text = text[:end] + entry + text[end:]
    curve = "plots/train_vae.csv,"  # of costs
    assert text.count(curve) == 1
    file.write_text(text.replace(curve, f"{curve} plots/train_tiny.csv,"))


def test_a_third_vision_model_takes_a_package_a_stage_and_a_section(
    repository: Path, shell: Command
) -> None:
    package = repository / "wm/vision/models/tiny"
    package.mkdir()
    (package / "__init__.py").write_text('"""A tiny vision model."""\n')
    (package / "networks.py").write_text(NETWORKS)
    (package / "learner.py").write_text(LEARNER)
    add_stage(repository)
    with open(repository / "params.yaml", "a") as file:
        file.write(SECTION)
    set_param(repository, "vision", "tiny")
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout.split()
    assert changed == ["M", "dvc.yaml", "M", "params.yaml", "??", "wm/vision/models/tiny/"]

    done = shell(repository, "dvc", "repro")
    chain = STAGES[STAGES.index("encode") :]
    assert sorted(executed(done.stdout)) == sorted(["train_tiny", *chain])
    assert "the dream's page shows no picture of workspace" in done.stdout + done.stderr
    config = json.loads((repository / "models/tiny/config.json").read_text())
    assert config == {"kind": "tiny", "latent_size": 6, "cells": 4}
    curve = (repository / "plots/train_tiny.csv").read_text().splitlines()
    assert len(curve) == 3
    lock = yaml.safe_load((repository / "dvc.lock").read_text())["stages"]
    assert "models/tiny" in {dep["path"] for dep in lock["train_controller"]["deps"]}
    numbers = json.loads((repository / "metrics/train_rnn.json").read_text())
    assert "open_loop_mse_1" in numbers


def test_a_name_without_a_package_is_one_line(repository: Path, shell: Command) -> None:
    set_param(repository, "vision", "tinny")
    done = shell(repository, "python", "-m", "stages.encode", check=False)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: params.yaml: vision: ")
    assert "tiny" in line


def test_the_rules_of_the_repository_hold_with_it(repository: Path, shell: Command) -> None:
    set_param(repository, "vision", "tiny")
    rules = ["tests/test_architecture.py", "tests/vision/test_registry.py"]
    shell(repository, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *rules)
