"""Models that were never trained, for the page's tests: the VAE-GAN's own networks, small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig, parameter_count
from wm.memory.networks import trained as memory
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.nn.compute import Compute
from wm.vision.models.vaegan.networks import Config, build
from wm.vision.networks import trained as vision
from wm.vision.networks.trained import Autoencoder

CPU = Compute(torch.device("cpu"), torch.float32)
Z, H = 6, 10


def run(folder: Path) -> Path:
    """Writes vision, memory and controller as a published run has them; returns the folder."""
    torch.manual_seed(0)
    config = Config(latent_size=Z, networks="seed", depth=2)
    model = Autoencoder(*build(config))
    for module in model.modules():  # as if trained: BatchNorm that does something
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.weight, 1, 0.2)
            torch.nn.init.normal_(module.bias)
    vision.save(folder / "vision", "vaegan", model, config.model_dump())
    shape = MdnRnnConfig(hidden_size=H, mixtures=3)
    remembers = MDNRNN(Z, shape)
    for parameter in remembers.parameters():
        parameter.data *= 3
    memory.save(folder / "memory", remembers, shape)
    seen = ControllerConfig(inputs="z", hidden_units=5, sample_z=False)
    vector = np.random.default_rng(0).normal(size=parameter_count(seen, Z, H))
    controller.save(folder / "controller", seen, vector)
    return folder
