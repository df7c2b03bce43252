"""Training and encoding: what a core gets through in a second."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from bench import limits
from bench.peers import UsualVae, to_tensor
from bench.side_by_side import Contest
from wm import adversarial, episodes, latents, vae, vaegan
from wm.compute import Compute
from wm.latents import LatentDataset, LatentEpisode
from wm.mdnrnn import MDNRNN, MdnRnnConfig, MdnRnnLearner
from wm.vision import Vision
from wm.vision_data import VisionData

BATCH, STEPS = 64, 15
SEQUENCES, LENGTH = 64, 64
ENCODED = 512  # frames of a repetition


def paced(step: Callable[[int], object], units: int) -> Callable[[], float]:
    """STEPS steps of `units` each; goes on from where the last call ended."""
    numbers: Iterator[int] = itertools.count()

    def rate() -> float:
        start = time.perf_counter()
        for _ in range(STEPS):
            step(next(numbers))
        return STEPS * units / (time.perf_counter() - start)

    return rate


def noise(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def usual_step(frames: np.ndarray) -> Callable[[int], object]:
    """One step of the usual loop, whose data set lies in memory as the networks read it."""
    model = UsualVae()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = to_tensor(frames)

    def step(number: int) -> None:
        loss = model.loss(x[torch.randint(len(x), (BATCH,), generator=noise(number))])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def contests(compute: Compute, directory: Path) -> list[Contest]:
    """On the recorded episodes in `directory`."""
    data = VisionData(directory, 100, 0, compute)
    frames = data.training[np.arange(min(len(data.training), 4000))]
    learner = vae.VaeLearner(vae.VaeConfig(), compute, vae.Schedule(1e-3, 10**6, False), seed=0)
    gan = adversarial.VaeganLearner(
        vaegan.VaeganConfig(depth=4), compute, adversarial.RECIPES["anchored"],
        steps=10**6, warmup=0, seed=0,
    )  # fmt: skip
    network = vae.VAE(vae.VaeConfig())
    forward = limits.forward_flops(network.encoder, (3, 64, 64))
    step = 3 * (forward + limits.forward_flops(network.decoder, (32,)))
    vision = Vision(network.encoder, network.decoder, 32, compute)
    usual = UsualVae().eval()

    def passes(encode: Callable[[np.ndarray], object]) -> Callable[[], float]:
        def rate() -> float:
            start = time.perf_counter()
            for first in range(0, ENCODED, 128):
                encode(frames[first : first + 128])
            return ENCODED / (time.perf_counter() - start)

        return rate

    @torch.no_grad()
    def usual_encode(part: np.ndarray) -> object:
        return usual.encode(to_tensor(part))

    return [
        Contest(
            "training a vision model",
            "frames/s",
            {
                "ours, VAE": paced(lambda i: learner.step(data.batch(i, BATCH), noise(i)), BATCH),
                "the usual VAE, fp32, NCHW": paced(usual_step(frames), BATCH),
                "ours, VAE-GAN, adversarial phase (d = 4)": paced(
                    lambda i: gan.step(data.batch(i, BATCH), noise(i)), BATCH
                ),
            },
            lambda: limits.units_per_second(step, compute.dtype),
            limited=("ours, VAE",),
        ),
        Contest(
            "encoding",
            "frames/s",
            {"ours": passes(vision.encode), "the usual, fp32, NCHW": passes(usual_encode)},
            lambda: limits.units_per_second(forward, compute.dtype),
        ),
        memory(compute, directory),
    ]


def memory(compute: Compute, directory: Path) -> Contest:
    """The MDN-RNN on made-up latents of the episodes' lengths."""
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
        batch = latents.training_batch(dataset, SEQUENCES, 0, number, compute.device)
        return learner.step(batch, noise(number))

    return Contest(
        "training the memory",
        "elements/s",
        {"ours": paced(step, SEQUENCES * LENGTH)},
        lambda: limits.units_per_second(3 * 2 * weights, compute.dtype),
    )
