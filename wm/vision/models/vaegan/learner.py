"""How a VAE-GAN learns: the adversarial step (Larsen et al. 2016, arXiv:1512.09300).

- One step function serves every recipe.
- After the warm-up, every loss on the decoder's picture is differentiated up to the picture only.
  The decoder and the encoder then each take their own sum of those gradients through one graph,
  as in the paper's Algorithm 1: the encoder never sees the adversarial loss.
- The discriminator learns in a pass of its own on detached pictures.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from wm.nn.compute import Compute, seeded
from wm.vision.models.vaegan.discriminator import VAEGAN
from wm.vision.models.vaegan.losses import (
    adversarial_loss,
    discriminator_loss,
    moment_loss,
    similarity_loss,
)
from wm.vision.models.vaegan.networks import Config
from wm.vision.models.vaegan.recipes import RECIPES, Recipe
from wm.vision.networks.convolutions import channels_last
from wm.vision.training.losses import kl_loss, sample, squared_error
from wm.vision.training.schedule import Schedule
from wm.vision.training.settings import TrainingSettings

TINY = 1e-12
"""Smallest norm that is divided by."""


class Settings(Config, TrainingSettings):
    """The parameters of the stage train_vaegan."""

    batch_size: int = Field(ge=2)
    """Frames of an optimisation step; batch normalisation takes at least two."""
    warmup: int = Field(ge=0)
    """Steps of squared error and KL alone, before the discriminator sets in."""


def create_learner(settings: Settings, compute: Compute, seed: int) -> VaeganLearner:
    """Returns the learner that the stage's parameters ask for, before its first step."""
    config = Config(**settings.model_dump(include=set(Config.model_fields)))
    recipe = RECIPES[config.recipe]
    learner = VaeganLearner(
        config, compute, recipe, steps=settings.steps, warmup=settings.warmup, seed=seed
    )
    if not learner.adversarial_steps:
        print(
            f"notice: train_vaegan: {settings.steps} steps are no more than the warmup, "
            f"{settings.warmup}: the discriminator never sets in, and the result is a plain VAE",
            file=sys.stderr,
            flush=True,
        )
    return learner


class VaeganLearner:
    """Trains a VAE-GAN; implements wm.vision.training.train.VisionLearner.

    For the first `warmup` steps only the squared error and the KL act, as in a VAE, and the
    discriminator rests; recipes without a pixel term have no warm-up.
    """

    def __init__(
        self,
        config: Config,
        compute: Compute,
        recipe: Recipe,
        *,
        steps: int,
        warmup: int,
        seed: int,
    ) -> None:
        """The first weights are drawn from `seed`."""
        with seeded(seed):
            model = VAEGAN(config)
        self.model = channels_last(model).to(compute.device)
        self.config, self.compute = config, compute
        self.recipe, self.done = recipe, 0
        self.warmup = warmup if recipe.pixel else 0
        self.adversarial_steps = max(0, steps - self.warmup)
        """Steps in which the discriminator takes part."""
        self.schedule = Schedule(recipe.rate, steps, recipe.decay)
        # slows down with the decoder, which it would otherwise leave behind
        self.discriminator_schedule = Schedule(
            recipe.discriminator_rate, self.adversarial_steps, recipe.decay
        )
        self.encoder_optimizer = self._optimizer(model.encoder)
        self.decoder_optimizer = self._optimizer(model.decoder)
        self.discriminator_optimizer = self._optimizer(model.discriminator)

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.recipe.optimizer == "rmsprop":
            return torch.optim.RMSprop(network.parameters())
        return torch.optim.Adam(network.parameters(), betas=(self.recipe.beta1, 0.999), fused=True)

    def step(self, batch: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        """Takes a step of the discriminator (after the warm-up), then one of encoder and decoder;
        returns the losses.

        `batch` is x, float32 (N, 3, 64, 64) in [0, 1]; `noise` draws z and the prior's samples.
        """
        warm = self.done < self.warmup
        recipe, model = self.recipe, self.model
        with self.compute.autocast():
            mu, logvar = model.encoder(batch)
            z = sample(mu, logvar, noise)
            pictures = {"reconstruction": model.decoder(z)}
            if "sample" in recipe.fakes and not warm:
                prior = torch.randn(z.shape, generator=noise).to(z.device)
                pictures["sample"] = model.decoder(prior)
        error = squared_error(batch, pictures["reconstruction"], recipe.kerb)
        kl = kl_loss(mu, logvar, recipe.free_bits)
        logs = {"squared_error": error.detach(), "kl": kl.detach()}
        on_latents = recipe.kl * kl + recipe.moment * moment_loss(z)
        # encoder's and decoder's steps are taken from the weights before either
        self.encoder_optimizer.zero_grad()
        self.decoder_optimizer.zero_grad()
        if warm:
            (error + on_latents).backward()
        else:
            logs |= self._discriminator_step(batch, pictures)
            (pixel,) = torch.autograd.grad(error, pictures["reconstruction"], retain_graph=True)
            for_encoder, for_decoder, losses = self._picture_gradients(batch, pictures, pixel)
            logs |= losses
            (at_z,) = torch.autograd.grad(
                pictures["reconstruction"], z, for_encoder, retain_graph=True
            )
            torch.autograd.backward(
                list(pictures.values()),
                [for_decoder[name] for name in pictures],
                inputs=list(model.decoder.parameters()),
            )
            torch.autograd.backward([z, on_latents], [at_z, torch.ones_like(on_latents)])
        for optimizer in (self.decoder_optimizer, self.encoder_optimizer):
            optimizer.param_groups[0]["lr"] = self.schedule.at(self.done)
            optimizer.step()
        self.done += 1
        return logs

    def _discriminator_step(self, batch: Tensor, pictures: dict[str, Tensor]) -> dict[str, Tensor]:
        """Teaches the discriminator to tell frames from pictures; reaches no other network."""
        recipe = self.recipe
        with self.compute.autocast():
            real = self.model.discriminator(batch)[1]
            fakes = [self.model.discriminator(pictures[name].detach())[1] for name in recipe.fakes]
        loss = discriminator_loss(real, fakes)
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        rate = torch.tensor(self.discriminator_schedule.at(self.done - self.warmup))
        if recipe.balance is not None:
            ahead = F.softplus(fakes[0]).mean() - F.softplus(-fakes[0]).mean()
            rate = rate * torch.sigmoid(recipe.balance * ahead.detach())
        self.discriminator_optimizer.param_groups[0]["lr"] = float(rate)
        self.discriminator_optimizer.step()
        probabilities = {"real": real, "fake": torch.cat(fakes)}
        return {"discriminator": loss.detach()} | {
            f"discriminator_{name}": logit.detach().sigmoid().mean()
            for name, logit in probabilities.items()
        }

    def _picture_gradients(
        self, batch: Tensor, pictures: dict[str, Tensor], pixel: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Returns the losses' gradients at the pictures: for the encoder (at the reconstruction),
        for the decoder (at each picture); and the losses. `pixel` is the squared error's."""
        recipe, discriminator = self.recipe, self.model.discriminator
        reconstruction = pictures["reconstruction"]
        with self.compute.autocast():
            with torch.no_grad():
                target = discriminator.body(batch)
            features, logit = discriminator(reconstruction)
            logits = {"reconstruction": logit}
            if "sample" in pictures:
                logits["sample"] = discriminator(pictures["sample"])[1]
        similarity = similarity_loss(target, features, recipe.summed)
        adversarial = adversarial_loss([logits[name] for name in recipe.fakes], recipe.saturating)
        (feature,) = torch.autograd.grad(similarity, reconstruction, retain_graph=True)
        gan = torch.autograd.grad(adversarial, [pictures[name] for name in recipe.fakes])
        gan_norm = recipe.adversarial * torch.stack([gradient.norm() for gradient in gan]).norm()
        strength = torch.tensor(recipe.adversarial)
        if recipe.relative:
            feature = feature * (pixel.norm() / feature.norm().clamp(min=TINY))
        if recipe.limit is not None:
            strength = strength * (recipe.limit * pixel.norm() / gan_norm.clamp(min=TINY)).clamp(
                max=1
            )
        for_encoder = recipe.pixel * pixel + recipe.feature[0] * feature
        for_decoder = {name: torch.zeros_like(picture) for name, picture in pictures.items()}
        for_decoder["reconstruction"] += recipe.pixel * pixel + recipe.feature[1] * feature
        for name, gradient in zip(recipe.fakes, gan, strict=True):
            for_decoder[name] += strength * gradient
        losses = {
            "similarity": similarity.detach(),
            "adversarial": adversarial.detach(),
            "adversarial_share": gan_norm / pixel.norm(),  # of the pixel gradient, before the limit
        }
        return for_encoder, for_decoder, losses

    def summary(self) -> dict[str, float]:
        """Returns `adversarial_steps`, in which the discriminator took part; 0 is a plain VAE."""
        return {"adversarial_steps": self.adversarial_steps}

    def state_dict(self) -> dict[str, Any]:
        """Returns weights, the three optimisers and the number of steps done."""
        return {
            "model": self.model.state_dict(),
            "encoder_optimizer": self.encoder_optimizer.state_dict(),
            "decoder_optimizer": self.decoder_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "done": self.done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what state_dict returned."""
        self.model.load_state_dict(state["model"])
        self.encoder_optimizer.load_state_dict(state["encoder_optimizer"])
        self.decoder_optimizer.load_state_dict(state["decoder_optimizer"])
        self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        self.done = state["done"]
