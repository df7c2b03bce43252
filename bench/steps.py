"""A training step of each network, in each precision, on the CPU's threads or a GPU.

python -m bench.steps [--device cuda] [--precision bf16] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bench.training import gan
from wm.core import processor
from wm.core.params import SharedParams
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.memory.training.learner import MdnRnnLearner
from wm.memory.training.windows import Batch
from wm.nn.compute import Compute, prepare
from wm.runtime.entry import command
from wm.vision.models.vae import networks as vae
from wm.vision.models.vae.learner import VaeLearner
from wm.vision.networks.trained import Vision
from wm.vision.training.schedule import Schedule

ROUNDS = 4
"""Of which the quickest counts."""
FRAMES = 64
"""Of an encoded batch: a lockstep's."""


def milliseconds(compute: Compute, step: Callable[[], object], repeats: int) -> float:
    """Returns how long a step takes."""

    def wait() -> None:
        if compute.device.type == "cuda":
            torch.cuda.synchronize()

    step()
    best = float("inf")
    for _ in range(ROUNDS):
        wait()
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        wait()
        best = min(best, (time.perf_counter() - start) / repeats * 1e3)
    return round(best, 2)


def latents(vision: Vision) -> Tensor:
    """Returns the latents of a lockstep's frames, on the CPU."""
    return vision.encode(np.zeros((FRAMES, 64, 64, 3), np.uint8))[0].cpu()


def steps(compute: Compute) -> Iterator[tuple[str, float]]:
    """Yields names and milliseconds."""
    noise = torch.Generator().manual_seed(0)
    for scale, channels, batch in (("laptop", 16, 64), ("paper", 32, 100)):
        x = torch.rand(batch, 3, 64, 64).contiguous(memory_format=torch.channels_last)
        x = x.to(compute.device)
        config = vae.Config(channels=channels, kerb_weight=4.0)
        learner = VaeLearner(config, compute, Schedule(1e-3, 10**6, False), seed=0)
        yield f"VAE, {scale}", milliseconds(compute, partial(learner.step, x, noise), 15)
        adversary = gan(compute, channels=channels, depth=4)
        yield f"VAE-GAN, {scale}", milliseconds(compute, partial(adversary.step, x, noise), 6)
        vision = Vision(learner.model, learner.config.latent_size, compute)
        name = f"encoding {FRAMES} frames, {scale}"
        yield name, milliseconds(compute, partial(latents, vision), 20)
        if scale == "paper" and compute.device.type == "cuda":
            seed = gan(compute, networks="seed", depth=32)
            yield (
                "VAE-GAN, seed networks, d = 32",
                milliseconds(compute, partial(seed.step, x, noise), 6),
            )
    for scale, count, length in (("laptop", 64, 64), ("paper", 100, 1000)):
        if scale == "paper" and compute.device.type == "cpu":
            continue  # minutes
        batch_of = _windows(count, length, compute.device)
        memory = MDNRNN(32, MdnRnnConfig(hidden_size=256, mixtures=5)).to(compute.device)
        remembering = MdnRnnLearner(memory, 1e-3, 1.0, compute.autocast())
        yield (
            f"MDN-RNN, {scale}",
            milliseconds(compute, partial(remembering.step, batch_of, noise), 8),
        )


def _windows(count: int, length: int, device: torch.device) -> Batch:
    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, device=device)

    ones = torch.ones(count, length, device=device)
    mu, logvar = normal(length + 1, 32), normal(length + 1, 32) - 2
    return Batch(mu, logvar, normal(length, 3), ones, ones * 0, ones)


def main() -> None:
    """Prints a table, and the same as JSON."""
    parser = argparse.ArgumentParser(description="A training step of each network.")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    # one a process: oneDNN chooses its kernels once
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    shared = SharedParams(
        vision="vae", scale="laptop", seed=0, precision=arguments.precision,
        device=arguments.device, threads=arguments.threads,
    )  # fmt: skip
    compute = prepare(shared, arguments.threads)
    on = torch.cuda.get_device_name() if arguments.device == "cuda" else processor.name()
    print(f"{arguments.precision} on {on}, torch {torch.__version__}", flush=True)
    found = {}
    for name, took in steps(compute):
        found[name] = took
        print(f"  {name:<36}{took:>9.2f} ms", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    command(main)
