"""How the VAE learns: squared error and KL with free bits, by Adam."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from wm.nn.compute import Compute, seeded
from wm.vision.models.vae.networks import Config, build
from wm.vision.networks.convolutions import channels_last
from wm.vision.networks.trained import Autoencoder
from wm.vision.training.losses import kl_loss, sample, squared_error
from wm.vision.training.schedule import Schedule
from wm.vision.training.settings import TrainingSettings


class Settings(Config, TrainingSettings):
    """The parameters of the stage train_vae."""

    learning_rate: float = Field(gt=0)
    """Adam's learning rate at the first step."""
    decay: bool
    """Whether the learning rate falls to 0 by half a cosine; the paper's is constant."""


def create_learner(settings: Settings, compute: Compute, seed: int) -> VaeLearner:
    """Returns the learner that the stage's parameters ask for, before its first step."""
    config = Config(**settings.model_dump(include=set(Config.model_fields)))
    schedule = Schedule(settings.learning_rate, settings.steps, settings.decay)
    return VaeLearner(config, compute, schedule, seed)


class VaeLearner:
    """Trains a VAE by Adam; implements wm.vision.training.train.VisionLearner."""

    def __init__(self, config: Config, compute: Compute, schedule: Schedule, seed: int) -> None:
        """The first weights are drawn from `seed`."""
        with seeded(seed):
            model = Autoencoder(*build(config))
        self.model = channels_last(model).to(compute.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True)
        self.config, self.compute = config, compute
        self.schedule, self.done = schedule, 0

    def step(self, batch: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        """Takes one Adam step on squared error + weighted KL with free bits; returns both losses.

        `batch` is x, float32 (N, 3, 64, 64) in [0, 1]; `noise` draws z.
        """
        self.optimizer.param_groups[0]["lr"] = self.schedule.at(self.done)
        with self.compute.autocast():
            mu, logvar = self.model.encoder(batch)
            reconstruction = self.model.decoder(sample(mu, logvar, noise))
        error = squared_error(batch, reconstruction, self.config.kerb_weight)
        kl = kl_loss(mu, logvar, self.config.free_bits)
        self.optimizer.zero_grad()
        (error + self.config.kl_weight * kl).backward()
        self.optimizer.step()
        self.done += 1
        return {"squared_error": error.detach(), "kl": kl.detach()}

    def summary(self) -> dict[str, float]:
        """Returns `adversarial_steps`, of which a VAE takes none."""
        return {"adversarial_steps": 0}

    def state_dict(self) -> dict[str, Any]:
        """Returns weights, optimiser and the number of steps done (the learning rate's place)."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what state_dict returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]
