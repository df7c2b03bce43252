"""How a VAE-GAN learns: recipes and the adversarial step (Larsen et al. 2016, arXiv:1512.09300).

- One step function serves every recipe; a recipe says which loss reaches which network, and how
  strongly. The sources' recipes stay as they are; `anchored`, the default, is the one that trains.
- After the warm-up, every loss on the decoder's picture is differentiated up to the picture only.
  The decoder and the encoder then each take their own sum of those gradients through one graph,
  as in the paper's Algorithm 1: the encoder never sees the adversarial loss.
- The discriminator learns in a pass of its own on detached pictures.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wm import vae
from wm.compute import Compute
from wm.vaegan import VAEGAN, VaeganConfig

TINY = 1e-12  # against division by zero


@dataclass(frozen=True)
class Recipe:
    """Which loss reaches which network, and how strongly.

    With `relative` and `limit`, norms at the picture are measured by the squared error's gradient.
    Learned similarity takes a fixed share of it. The adversarial gradient is only held below one:
    scaled up, that of a discriminator that knows nothing yet is noise that it never recovers from.
    """

    fakes: tuple[Literal["reconstruction", "sample"], ...]  # what the discriminator is shown
    saturating: bool  # the decoder's adversarial loss: minus the discriminator's, or -log D(fake)
    rate: float  # of the encoder and the decoder
    discriminator_rate: float
    feature: tuple[float, float]  # learned similarity, for the encoder and for the decoder (gamma)
    adversarial: float
    pixel: float = 0.0  # squared error, for both
    kerb: float = 0.0  # added weight of a kerb's pixels in it
    kl: float = 1.0
    free_bits: float = 0.0  # nats a latent dimension that cost nothing
    moment: float = 0.0  # the batch's z held at mean 0 and deviation 1
    summed: bool = False  # learned similarity summed over a frame's features, not averaged
    relative: bool = False  # weights of learned similarity are shares of the pixel gradient
    limit: float | None = None  # the adversarial gradient's largest share of it
    decay: bool = False  # half a cosine for the rates, or constant
    optimizer: Literal["adam", "rmsprop"] = "adam"
    beta1: float = 0.9
    balance: float | None = None  # the discriminator's rate times sigmoid(balance * (fake - gen))


RECIPES = {
    # Algorithm 1, with the optimiser and the gamma of the paper's published code
    "larsen": Recipe(
        fakes=("reconstruction", "sample"), saturating=True, rate=3e-4, discriminator_rate=3e-4,
        feature=(1, 1e-6), adversarial=1, summed=True, optimizer="rmsprop",
    ),
    "minimax": Recipe(
        fakes=("reconstruction", "sample"), saturating=True, rate=1e-4, discriminator_rate=1e-4,
        feature=(1, 1), adversarial=1, kl=0.01, moment=0.1,
    ),
    "balanced": Recipe(
        fakes=("sample",), saturating=False, rate=1e-3, discriminator_rate=1e-4,
        feature=(1000, 1000), adversarial=1, beta1=0.5, balance=10,
    ),
    "anchored": Recipe(
        fakes=("reconstruction",), saturating=False, rate=2e-3, discriminator_rate=2e-4,
        feature=(0.5, 0.5), adversarial=5, pixel=1, kerb=4, kl=0.1, free_bits=0.5, relative=True,
        limit=0.5, decay=True,
    ),
}  # fmt: skip


def discriminator_loss(real: Tensor, fakes: list[Tensor]) -> Tensor:
    """Cross-entropy of logits (N, 1): half for real frames, half for all kinds of fakes."""
    fake = torch.stack([F.softplus(logit).mean() for logit in fakes]).mean()
    return 0.5 * F.softplus(-real).mean() + 0.5 * fake


def adversarial_loss(fakes: list[Tensor], saturating: bool) -> Tensor:
    """The decoder's: minus what the discriminator makes of the fakes, or -log D(fake)."""
    if saturating:
        return -0.5 * torch.stack([F.softplus(logit).mean() for logit in fakes]).mean()
    return torch.stack([F.softplus(-logit).mean() for logit in fakes]).mean()


def similarity_loss(target: Tensor, features: Tensor, summed: bool) -> Tensor:
    """The paper's learned similarity (eq. 7): half the squared distance of features (N, ...)."""
    squares = 0.5 * (features.float() - target.float()).square()
    return squares.sum() / len(squares) if summed else squares.mean()


def moment_loss(z: Tensor) -> Tensor:
    """Distance of the batch's z (N, Z) from mean 0 and deviation 1 a dimension."""
    return z.mean(dim=0).square().mean() + (z.std(dim=0, correction=0) - 1).square().mean()


class VaeganLearner:
    """Trains a VAE-GAN; implements training.Learner.

    A batch is x (N, 3, 64, 64) float32 in [0, 1] on the compute's device. For the first `warmup`
    steps only the squared error and the KL act, as in a VAE, and the discriminator rests; recipes
    without a pixel term have no warm-up.
    """

    def __init__(
        self,
        config: VaeganConfig,
        compute: Compute,
        recipe: Recipe,
        *,
        steps: int,
        warmup: int,
        seed: int,
    ) -> None:
        with vae.seeded(seed):
            model = VAEGAN(config)
        self.model = vae.channels_last(model).to(compute.device)
        self.compute, self.recipe, self.done = compute, recipe, 0
        self.warmup = warmup if recipe.pixel else 0
        self.schedule = vae.Schedule(recipe.rate, steps, recipe.decay)
        # slows down with the decoder, which it would otherwise leave behind
        self.discriminator_schedule = vae.Schedule(
            recipe.discriminator_rate, steps - self.warmup, recipe.decay
        )
        self.encoder = self._optimizer(model.encoder)
        self.decoder = self._optimizer(model.decoder)
        self.discriminator = self._optimizer(model.discriminator)

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.recipe.optimizer == "rmsprop":
            return torch.optim.RMSprop(network.parameters())
        return torch.optim.Adam(network.parameters(), betas=(self.recipe.beta1, 0.999), fused=True)

    def step(self, batch: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        """One step of the discriminator (after the warm-up), then one of encoder and decoder."""
        warm = self.done < self.warmup
        recipe, model = self.recipe, self.model
        with self.compute.autocast():
            mu, logvar = model.encoder(batch)
            z = vae.sample(mu, logvar, noise)
            pictures = {"reconstruction": model.decoder(z)}
            if "sample" in recipe.fakes and not warm:
                prior = torch.randn(z.shape, generator=noise).to(z.device)
                pictures["sample"] = model.decoder(prior)
        error = vae.squared_error(batch, pictures["reconstruction"], recipe.kerb)
        kl = vae.kl_loss(mu, logvar, recipe.free_bits)
        logs = {"squared_error": error.detach(), "kl": kl.detach()}
        on_latents = recipe.kl * kl + recipe.moment * moment_loss(z)
        # both steps are taken from the weights before either
        self.encoder.zero_grad()
        self.decoder.zero_grad()
        if warm:
            (error + on_latents).backward()
        else:
            logs |= self._discriminator_step(batch, pictures)
            (pixel,) = torch.autograd.grad(error, pictures["reconstruction"], retain_graph=True)
            for_encoder, for_decoder, losses = self._pull(batch, pictures, pixel)
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
        for optimizer in (self.decoder, self.encoder):
            optimizer.param_groups[0]["lr"] = self.schedule.at(self.done)
            optimizer.step()
        self.done += 1
        return logs

    def _discriminator_step(self, batch: Tensor, pictures: dict[str, Tensor]) -> dict[str, Tensor]:
        """Teaches the discriminator frames from pictures; reaches no other network."""
        recipe = self.recipe
        with self.compute.autocast():
            real = self.model.discriminator(batch)[1]
            fakes = [self.model.discriminator(pictures[name].detach())[1] for name in recipe.fakes]
        loss = discriminator_loss(real, fakes)
        self.discriminator.zero_grad()
        loss.backward()
        rate = torch.tensor(self.discriminator_schedule.at(self.done - self.warmup))
        if recipe.balance is not None:
            ahead = F.softplus(fakes[0]).mean() - F.softplus(-fakes[0]).mean()
            rate = rate * torch.sigmoid(recipe.balance * ahead.detach())
        self.discriminator.param_groups[0]["lr"] = float(rate)
        self.discriminator.step()
        probabilities = {"real": real, "fake": torch.cat(fakes)}
        return {"discriminator": loss.detach()} | {
            f"discriminator_{name}": logit.detach().sigmoid().mean()
            for name, logit in probabilities.items()
        }

    def _pull(
        self, batch: Tensor, pictures: dict[str, Tensor], pixel: Tensor
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """What the losses want of the pictures: gradients for the encoder (of the reconstruction)
        and for the decoder (of each picture), and the losses. `pixel` is the squared error's."""
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
        pull = recipe.adversarial * torch.stack([gradient.norm() for gradient in gan]).norm()
        strength = torch.tensor(recipe.adversarial)
        if recipe.relative:
            feature = feature * (pixel.norm() / feature.norm().clamp(min=TINY))
        if recipe.limit is not None:
            strength = strength * (recipe.limit * pixel.norm() / pull.clamp(min=TINY)).clamp(max=1)
        for_encoder = recipe.pixel * pixel + recipe.feature[0] * feature
        for_decoder = {name: torch.zeros_like(picture) for name, picture in pictures.items()}
        for_decoder["reconstruction"] += recipe.pixel * pixel + recipe.feature[1] * feature
        for name, gradient in zip(recipe.fakes, gan, strict=True):
            for_decoder[name] += strength * gradient
        losses = {
            "similarity": similarity.detach(),
            "adversarial": adversarial.detach(),
            "adversarial_share": pull / pixel.norm(),  # of the pixel gradient, before the limit
        }
        return for_encoder, for_decoder, losses

    def state_dict(self) -> dict[str, Any]:
        """Weights, the three optimisers and the number of steps done."""
        return {
            "model": self.model.state_dict(),
            "encoder": self.encoder.state_dict(),
            "decoder": self.decoder.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "done": self.done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of state_dict."""
        self.model.load_state_dict(state["model"])
        self.encoder.load_state_dict(state["encoder"])
        self.decoder.load_state_dict(state["decoder"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.done = state["done"]
