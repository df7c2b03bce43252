"""The paper's ConvVAE (Ha & Schmidhuber 2018, appendix A.1), in any width, and its training step.

Four valid convolutions of kernel 4 and stride 2 (c, 2c, 4c, 8c channels; in the paper c is 32) take
a frame to 2x2x8c; a dense layer gives mean and log-variance. The decoder is a dense layer to 32c
channels on one pixel and four transposed convolutions (4c, 2c, c, 3). All run channels-last.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from wm.compute import Compute
from wm.convolutions import FromPixel, ToFewPixels, Transposed
from wm.params import Params, Size

LAST_PIXELS = 4  # what is left of a 64x64 frame after the encoder's convolutions

KERB_RED = 0.6  # red channel of kerbs and car is above, of road and grass below


class VaeConfig(Params):
    """What defines the network and its loss."""

    latent_size: Size = 32
    channels: Size = 32  # of the encoder's first convolution
    free_bits: float = Field(default=0.5, ge=0)  # nats a latent dimension that cost nothing
    kl_weight: float = Field(default=1.0, ge=0)  # of the KL beside the squared error; the paper's 1
    kerb_weight: float = Field(default=0.0, ge=0)  # added to a kerb's pixels; the paper's 0


class Encoder(nn.Module):
    """(N, 3, 64, 64) in [0, 1] -> mu, logvar (N, latent_size)."""

    def __init__(self, latent_size: int, channels: int) -> None:
        super().__init__()
        c = channels
        self.body = nn.Sequential(
            nn.Conv2d(3, c, 4, stride=2),  # (N, c, 31, 31)
            nn.ReLU(),
            nn.Conv2d(c, 2 * c, 4, stride=2),  # (N, 2c, 14, 14)
            nn.ReLU(),
            nn.Conv2d(2 * c, 4 * c, 4, stride=2),  # (N, 4c, 6, 6)
            nn.ReLU(),
            ToFewPixels(4 * c, 8 * c, 4, stride=2),  # (N, 8c, 2, 2)
            nn.ReLU(),
            nn.Flatten(),
        )
        self.heads = nn.Linear(LAST_PIXELS * 8 * c, 2 * latent_size)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.heads(self.body(x)).chunk(2, dim=1)
        return mu, logvar


class Decoder(nn.Module):
    """z (N, latent_size) -> (N, 3, 64, 64) in [0, 1]."""

    def __init__(self, latent_size: int, channels: int) -> None:
        super().__init__()
        c = channels
        self.body = nn.Sequential(
            nn.Linear(latent_size, 32 * c),
            nn.Unflatten(1, (32 * c, 1, 1)),
            FromPixel(32 * c, 4 * c, 5),  # (N, 4c, 5, 5)
            nn.ReLU(),
            Transposed(4 * c, 2 * c, 5, stride=2),  # (N, 2c, 13, 13)
            nn.ReLU(),
            Transposed(2 * c, c, 6, stride=2),  # (N, c, 30, 30)
            nn.ReLU(),
            Transposed(c, 3, 6, stride=2),  # (N, 3, 64, 64)
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.body(z)
        return x


class VAE(nn.Module):
    """Encoder and decoder under the names that weights.safetensors uses."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config.latent_size, config.channels)
        self.decoder = Decoder(config.latent_size, config.channels)


def sample(mu: Tensor, logvar: Tensor, noise: torch.Generator) -> Tensor:
    """z ~ N(mu, exp(logvar)), reparameterised; float32 (N, Z). `noise` is a CPU generator."""
    epsilon = torch.randn(mu.shape, generator=noise).to(mu.device)
    return mu.float() + torch.exp(0.5 * logvar.float()) * epsilon


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) of every frame and dimension, in nats: (N, Z)."""
    mu, logvar = mu.float(), logvar.float()
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def kl_loss(mu: Tensor, logvar: Tensor, free_bits: float) -> Tensor:
    """The batch's mean KL in nats a frame, no dimension counting for less than `free_bits`.

    The paper's floor (0.5 x 32 nats) is on the sum over the dimensions; a floor on each keeps
    every dimension worth its while.
    """
    return kl_divergence(mu, logvar).mean(dim=0).clamp(min=free_bits).sum()


def squared_error(x: Tensor, reconstruction: Tensor, kerb_weight: float = 0.0) -> Tensor:
    """Summed over a frame's values, averaged over the frames: the paper's reconstruction loss.

    The error of a pixel that is white or red in x, a kerb's or the car's, counts 1 + `kerb_weight`
    times: kerbs announce the sharp corners, and are too few pixels to be learned early otherwise.
    """
    squares = (reconstruction.float() - x).square()
    if kerb_weight:
        squares = squares * (1 + kerb_weight * (x[:, :1] > KERB_RED))
    return squares.sum() / len(x)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's layers draw their first weights from the global generator: lends it for the block."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


M = TypeVar("M", bound=nn.Module)


def channels_last(module: M) -> M:
    """Lays the weights out as the CPU's and the GPU's convolutions read them fastest, in place."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@dataclass(frozen=True)
class Schedule:
    """The learning rate over `steps` steps: half a cosine down to nearly 0, or constant."""

    rate: float
    steps: int
    decay: bool

    def at(self, step: int) -> float:
        """Of step 0 <= step < steps."""
        if not self.decay:
            return self.rate
        return self.rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))


class VaeLearner:
    """Trains a VAE by Adam; implements training.Learner.

    A batch is x (N, 3, 64, 64) float32 in [0, 1] on the compute's device.
    """

    def __init__(self, config: VaeConfig, compute: Compute, schedule: Schedule, seed: int) -> None:
        with seeded(seed):
            model = VAE(config)
        self.model = channels_last(model).to(compute.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True)
        self.config, self.compute = config, compute
        self.schedule, self.done = schedule, 0

    def step(self, batch: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        """One Adam step on squared error + weighted KL with free bits; returns both losses."""
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

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser and the number of steps done (the learning rate's place)."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of state_dict."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]
