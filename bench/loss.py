"""What the faster training costs in loss: ours and the usual one after equal steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.peers import CHANNELS
from bench.training import BATCH, Usual, noise, ours
from wm.nn.compute import Compute, seeded
from wm.nn.posterior import kl_divergence
from wm.vision.metrics.held_out import HeldOutFrames
from wm.vision.networks.pixels import to_float
from wm.vision.training.train import TrainingFrames

STEPS, RATE = 200, 1e-3

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]


def rows(compute: Compute, directory: Path, repeats: int) -> list[dict[str, Any]]:
    """Returns squared error and KL a held-out frame, in nats as the paper counts them, for each
    width and each of `repeats` seeds of the batches; both see the same batches, by Adam at the same
    rate."""
    return [
        {
            "channels": channels,
            "steps": STEPS,
            "seed": seed,
            **_losses(compute, directory, channels, seed),
        }
        for channels in CHANNELS.values()
        for seed in range(repeats)
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as text."""
    lines = [f"\nsquared error and KL of a held-out frame after {STEPS} steps of {BATCH}"]
    lines += [
        f"  {row['channels']} channels, seed {row['seed']}{row['ours']:>10.2f} ours"
        f"{row['usual']:>10.2f} the usual"
        for row in rows
    ]
    return "\n".join(lines)


def _losses(compute: Compute, directory: Path, channels: int, seed: int) -> dict[str, float]:
    data, held_out = (
        TrainingFrames(directory, seed, "bench", compute),
        HeldOutFrames(directory, 500),
    )
    fast, usual = ours(compute, channels, RATE), Usual(channels, RATE)
    for step in range(STEPS):
        batch = data.batch(step, BATCH)
        fast.step(batch, noise(step))
        with seeded(step):  # it draws from the global generator
            usual.step(batch.contiguous())
    x = to_float(held_out.frames, compute.device)
    return {
        "ours": _loss(fast.model.encoder, fast.model.decoder, x),
        "usual": _loss(usual.model.encode, usual.model.decode, x),
    }


@torch.no_grad()
def _loss(encode: Encode, decode: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Returns the loss of frames x (N, 3, 64, 64) in float32, from the latents' means."""
    losses = []
    for part in x.split(100):
        mu, logvar = encode(part)
        kl = kl_divergence(mu, logvar).sum(dim=1)
        squares = (decode(mu) - part).square().sum(dim=(1, 2, 3))
        losses.append((squares + kl).numpy())
    return round(float(np.concatenate(losses).mean()), 3)
