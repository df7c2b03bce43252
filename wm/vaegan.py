"""The VAE-GAN (Larsen et al. 2016, arXiv:1512.09300): networks, recipes and the adversarial step.

- One step function serves every recipe; a recipe says which loss reaches which network, and how
  strongly. The sources' recipes stay as they are; `anchored`, the default, is the one that trains.
- Every loss on the decoder's picture is differentiated up to the picture only. The decoder and
  the encoder then each take their own sum of those gradients through one graph, as in the paper's
  Algorithm 1: the encoder never sees the adversarial loss.
- The discriminator learns in a pass of its own on detached pictures.
- The source of the `seed` networks also builds a first discriminator convolution of d filters
  whose output nothing reads; it is left out.
"""

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from wm import vae
from wm.compute import Compute
from wm.params import Params

TINY = 1e-12  # against division by zero
CORNER = 8  # rows and columns of the seed encoder's last feature map
FEATURE_MAP = 16  # and of the discriminator's
GROUPS = 4


class VaeganConfig(Params):
    """What defines the networks and the loss."""

    latent_size: int = Field(default=32, gt=0)
    networks: Literal["seed", "vae"] = "vae"
    depth: int = Field(default=8, gt=0)  # d: width of the discriminator and of the seed networks
    heads: Literal["tanh", "linear"] = "linear"  # the seed encoder's mean and log-variance
    recipe: Literal["larsen", "minimax", "balanced", "anchored"] = "anchored"


# --- networks ---------------------------------------------------------------------------------


def _down(channels_in: int, channels_out: int, stride: int = 2) -> nn.Conv2d:
    # Keras pads "same" by 1 before and 2 after; 2 before and 1 after is the same network on
    # frames that are mirrored on both axes, and needs no padding layer of its own
    return nn.Conv2d(channels_in, channels_out, 5, stride=stride, padding=2)


def _up(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels_in, channels_out, 5, 2, padding=2, output_padding=1)


class SeedEncoder(nn.Module):
    """(N, 3, 64, 64) in [0, 1] -> mu, logvar (N, latent_size), with `tanh` heads in [-1, 1]."""

    def __init__(self, latent_size: int, depth: int, heads: Literal["tanh", "linear"]) -> None:
        super().__init__()
        widths = [3, 2 * depth, 4 * depth, 8 * depth]
        layers: list[nn.Module] = []
        for channels_in, channels_out in itertools.pairwise(widths):
            layers += [_down(channels_in, channels_out), nn.BatchNorm2d(channels_out), _leaky()]
        layers += [nn.Flatten(), nn.Linear(CORNER * CORNER * widths[-1], latent_size)]
        self.body = nn.Sequential(*layers, nn.BatchNorm1d(latent_size), _leaky())
        self.heads = nn.Linear(latent_size, 2 * latent_size)
        self.bounded = heads == "tanh"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out = self.heads(self.body(x))
        mu, logvar = (out.tanh() if self.bounded else out).chunk(2, dim=1)
        return mu, logvar


class SeedDecoder(nn.Module):
    """z (N, latent_size) -> (N, 3, 64, 64) in [0, 1]."""

    def __init__(self, latent_size: int, depth: int) -> None:
        super().__init__()
        size = CORNER * CORNER * 8 * depth
        layers: list[nn.Module] = [
            nn.Linear(latent_size, size),
            nn.BatchNorm1d(size),
            _leaky(),
            nn.Unflatten(1, (8 * depth, CORNER, CORNER)),
        ]
        widths = [8 * depth, 8 * depth, 4 * depth, depth]
        for channels_in, channels_out in itertools.pairwise(widths):
            layers += [_up(channels_in, channels_out), nn.BatchNorm2d(channels_out), _leaky()]
        self.body = nn.Sequential(*layers, _down(depth, 3, stride=1), nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.body(z)
        return x


class Discriminator(nn.Module):
    """(N, 3, 64, 64) -> features (N, 8d, 16, 16), for the learned similarity; logit (N, 1).

    Without `batch_norm`, groups of channels are normalised frame by frame instead: real frames and
    pictures pass separately, and BatchNorm would judge each kind by its own mean.
    """

    def __init__(self, depth: int, batch_norm: bool) -> None:
        super().__init__()
        wide = 8 * depth

        def norm(channels: int) -> nn.Module:
            return nn.BatchNorm2d(channels) if batch_norm else nn.GroupNorm(GROUPS, channels)

        self.body = nn.Sequential(
            _down(3, 4 * depth),
            _leaky(),
            norm(4 * depth),
            _down(4 * depth, wide),
            norm(wide),
            _leaky(),
            _down(wide, wide, stride=1),
        )
        self.head = nn.Sequential(
            norm(wide),
            _leaky(),
            nn.Flatten(),
            nn.Linear(FEATURE_MAP * FEATURE_MAP * wide, wide),
            nn.BatchNorm1d(wide) if batch_norm else nn.Identity(),
            _leaky(),
            nn.Linear(wide, 1),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x)
        return features, self.head(features).float()


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2)


def build(config: VaeganConfig) -> tuple[nn.Module, nn.Module]:
    """The encoder and the decoder that `config` names, with fresh weights."""
    if config.networks == "vae":
        return vae.Encoder(config.latent_size), vae.Decoder(config.latent_size)
    return (
        SeedEncoder(config.latent_size, config.depth, config.heads),
        SeedDecoder(config.latent_size, config.depth),
    )


class VAEGAN(nn.Module):
    """All three networks under the names that weights.safetensors uses."""

    def __init__(self, config: VaeganConfig) -> None:
        super().__init__()
        self.encoder, self.decoder = build(config)
        self.discriminator = Discriminator(config.depth, RECIPES[config.recipe].batch_norm)


# --- recipes ----------------------------------------------------------------------------------


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
    kl: float = 1.0
    free_bits: float = 0.0  # nats a latent dimension that cost nothing
    moment: float = 0.0  # the batch's z held at mean 0 and deviation 1
    summed: bool = False  # learned similarity summed over a frame's features, not averaged
    relative: bool = False  # weights of learned similarity are shares of the pixel gradient
    limit: float | None = None  # the adversarial gradient's largest share of it
    decay: bool = False  # half a cosine for `rate`, or constant
    optimizer: Literal["adam", "rmsprop"] = "adam"
    beta1: float = 0.9
    balance: float | None = None  # the discriminator's rate times sigmoid(balance * (fake - gen))
    batch_norm: bool = True  # in the discriminator; False: normalised frame by frame


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
        fakes=("reconstruction",), saturating=False, rate=1e-3, discriminator_rate=2e-4,
        feature=(0.5, 0.5), adversarial=5, pixel=1, free_bits=0.5, relative=True, limit=0.75,
        decay=True, batch_norm=False,
    ),
}  # fmt: skip


# --- training ---------------------------------------------------------------------------------


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
    steps only the squared error and the KL act, as in a VAE, and the discriminator rests.
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
        self.compute, self.recipe, self.warmup, self.done = compute, recipe, warmup, 0
        self.schedule = vae.Schedule(recipe.rate, steps, recipe.decay)
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
        error = vae.squared_error(batch, pictures["reconstruction"])
        kl = vae.kl_loss(mu, logvar, recipe.free_bits)
        logs = {"squared_error": error.detach(), "kl": kl.detach()}
        on_latents = recipe.kl * kl + recipe.moment * moment_loss(z)
        (pixel,) = torch.autograd.grad(error, pictures["reconstruction"], retain_graph=True)
        if warm:
            for_encoder, for_decoder = pixel, {"reconstruction": pixel}
        else:
            logs |= self._discriminator_step(batch, pictures)
            for_encoder, for_decoder, losses = self._pull(batch, pictures, pixel)
            logs |= losses
        # both steps are taken from the weights before either
        (at_z,) = torch.autograd.grad(pictures["reconstruction"], z, for_encoder, retain_graph=True)
        self.encoder.zero_grad()
        self.decoder.zero_grad()
        torch.autograd.backward(
            list(pictures.values()),
            [for_decoder[name] for name in pictures],
            inputs=list(model.decoder.parameters()),
        )
        torch.autograd.backward(
            [z, on_latents],
            [at_z, torch.ones_like(on_latents)],
            inputs=list(model.encoder.parameters()),
        )
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
        rate = torch.tensor(recipe.discriminator_rate)
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
