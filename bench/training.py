"""Training and encoding: what a core gets through in a second."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import limits
from bench.peers import CHANNELS, UsualMemory, UsualVae, to_tensor
from bench.side_by_side import Contest
from wm.core import episodes
from wm.memory.latents import LatentEpisode
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.memory.training.learner import MdnRnnLearner
from wm.memory.training.windows import LatentDataset, training_batch
from wm.nn.compute import Compute, seeded
from wm.nn.posterior import reparameterise
from wm.vision.models.vae import networks as vae
from wm.vision.models.vae.learner import VaeLearner
from wm.vision.models.vaegan import networks as vaegan
from wm.vision.models.vaegan.learner import VaeganLearner
from wm.vision.models.vaegan.recipes import RECIPES
from wm.vision.networks.trained import Autoencoder, Vision
from wm.vision.training.schedule import Schedule
from wm.vision.training.train import TrainingFrames

BATCH, STEPS = 64, 15
SEQUENCES, LENGTH = 64, 64
ENCODED = 512  # frames of a repetition


def paced(step: Callable[[int], object], units: int) -> Callable[[], float]:
    """Returns what takes STEPS steps of `units` each, from where the last call ended, and returns
    the units a second."""
    numbers: Iterator[int] = itertools.count()

    def rate() -> float:
        start = time.perf_counter()
        for _ in range(STEPS):
            step(next(numbers))
        return STEPS * units / (time.perf_counter() - start)

    return rate


def noise(step: int) -> torch.Generator:
    """Returns the generator of a step's noise."""
    return torch.Generator().manual_seed(step)


class Usual:
    """The usual loop's model and optimiser."""

    def __init__(self, channels: int, learning_rate: float) -> None:
        with seeded(0):
            self.model = UsualVae(channels)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=learning_rate)

    def step(self, x: Tensor) -> None:
        loss = self.model.loss(x)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def ours(compute: Compute, channels: int, learning_rate: float) -> VaeLearner:
    """Returns our learner with the loss of the usual one: squared error and KL, no bits free."""
    config = vae.Config(channels=channels, free_bits=0.0)
    return VaeLearner(config, compute, Schedule(learning_rate, 10**6, False), seed=0)


def gan(compute: Compute, **config: Any) -> VaeganLearner:
    """Returns a VAE-GAN in its adversarial phase."""
    recipe = RECIPES["anchored"]
    return VaeganLearner(vaegan.Config(**config), compute, recipe, steps=10**6, warmup=0, seed=0)


def contests(compute: Compute, directory: Path) -> list[Contest]:
    """Returns the contests on the recorded episodes in `directory`."""
    everything = episodes.FrameSet(directory, episodes.split(episodes.ids_in(directory))[0])
    frames = everything[np.arange(min(len(everything), 4000))]
    data = TrainingFrames(directory, 0, "bench", compute)
    both = [vision(compute, data, frames, scale, CHANNELS[scale]) for scale in CHANNELS]
    return [contest for pair in both for contest in pair] + [memory(compute, directory)]


def vision(
    compute: Compute, data: TrainingFrames, frames: np.ndarray, scale: str, channels: int
) -> tuple[Contest, Contest]:
    """Returns the contests in training and encoding; `frames` are uint8 (N, 64, 64, 3)."""
    learner, usual = ours(compute, channels, 1e-3), Usual(channels, 1e-3)
    in_memory = to_tensor(frames)  # as the usual loop holds its data: all of it, in float32
    adversary = gan(compute, channels=channels, depth=4)
    networks = Autoencoder(*vae.build(vae.Config(channels=channels)))
    forward = limits.forward_flops(networks.encoder, (3, 64, 64))
    step = 3 * (forward + limits.forward_flops(networks.decoder, (32,)))
    model = Vision(networks, 32, compute)

    def drawn(step: int) -> Tensor:
        return in_memory[torch.randint(len(in_memory), (BATCH,), generator=noise(step))]

    def passes(encode: Callable[[np.ndarray], object]) -> Callable[[], float]:
        def rate() -> float:
            start = time.perf_counter()
            for first in range(0, ENCODED, 128):
                encode(frames[first : first + 128])
            return ENCODED / (time.perf_counter() - start)

        return rate

    @torch.no_grad()
    def usual_encode(part: np.ndarray) -> object:
        return usual.model.encode(to_tensor(part))

    return (
        Contest(
            f"training the {scale} VAE, {channels} channels",
            "frames/s",
            {
                "ours": paced(lambda i: learner.step(data.batch(i, BATCH), noise(i)), BATCH),
                "the usual, fp32, NCHW": paced(lambda i: usual.step(drawn(i)), BATCH),
                "ours, VAE-GAN, adversarial phase (d = 4)": paced(
                    lambda i: adversary.step(data.batch(i, BATCH), noise(i)), BATCH
                ),
            },
            lambda: limits.units_per_second(step, compute.dtype),
        ),
        Contest(
            f"encoding with the {scale} VAE, {channels} channels",
            "frames/s",
            {"ours": passes(model.encode), "the usual, fp32, NCHW": passes(usual_encode)},
            lambda: limits.units_per_second(forward, compute.dtype),
        ),
    )


def memory(compute: Compute, directory: Path) -> Contest:
    """Returns the contest in training the MDN-RNN on made-up latents of the episodes' lengths."""
    rng = np.random.default_rng(0)
    encoded = []
    for id_ in episodes.ids_in(directory):
        file = episodes.EpisodeFile(directory / episodes.file_name(id_))
        mu, logvar = rng.normal(size=(2, len(file), 32)).astype(np.float32)
        encoded.append(LatentEpisode(mu, logvar, file.actions, file.rewards, file.terminated))
    dataset = LatentDataset(encoded, LENGTH)
    model = MDNRNN(32, MdnRnnConfig(hidden_size=256, mixtures=5))
    learner = MdnRnnLearner(model, 1e-3, 1.0, compute.autocast())
    weights = sum(p.numel() for name, p in model.named_parameters() if "bias" not in name)

    def step(number: int) -> object:
        batch = training_batch(dataset, SEQUENCES, 0, number, compute.device)
        return learner.step(batch, noise(number))

    usual = UsualMemory()
    optimizer = torch.optim.Adam(usual.parameters(), lr=1e-3)

    def usual_step(number: int) -> None:
        batch = training_batch(dataset, SEQUENCES, 0, number, compute.device)
        z = reparameterise(batch.mu, batch.logvar, torch.randn_like(batch.mu))
        optimizer.zero_grad()
        usual.loss(z, batch.action, batch.reward, batch.done).backward()
        optimizer.step()

    return Contest(
        "training the memory",
        "elements/s",
        {
            "ours": paced(step, SEQUENCES * LENGTH),
            "the usual, fp32": paced(usual_step, SEQUENCES * LENGTH),
        },
        lambda: limits.units_per_second(3 * 2 * weights, compute.dtype),
    )
