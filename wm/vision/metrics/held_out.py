"""What a vision model makes of held-out frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from wm.core import episodes
from wm.core.shards import shards
from wm.nn.posterior import kl_divergence
from wm.vision.metrics.reconstruction import reconstruction
from wm.vision.networks.trained import Vision

BATCH = 256
"""Frames that a model sees at a time."""


class HeldOutFrames:
    """Frames of the held-out episodes, evenly spaced."""

    def __init__(self, directory: Path | str, count: int) -> None:
        """Takes at most `count` frames of the held-out episodes in `directory`."""
        _, ids = episodes.split(episodes.ids_in(directory))
        everything = episodes.FrameSet(directory, ids)
        chosen = np.linspace(0, len(everything) - 1, min(count, len(everything)))
        self.frames = everything[chosen.round().astype(np.int64)]
        """The frames, uint8 (N, 64, 64, 3)."""

    def reconstruct(self, vision: Vision) -> tuple[np.ndarray, dict[str, float]]:
        """Returns the frames decoded from their mean latents, uint8 (N, 64, 64, 3), and how they
        compare with the frames: `reconstruction`, and `kl` in nats a frame."""
        codes = [vision.encode(part) for part in shards(self.frames, BATCH)]
        kl = torch.cat([kl_divergence(mu, logvar).sum(dim=1) for mu, logvar in codes])
        decoded = np.concatenate([vision.decode(mu) for mu, _ in codes])
        return decoded, reconstruction(self.frames, decoded) | {"kl": float(kl.mean())}

    def measure(self, vision: Vision) -> dict[str, float]:
        """Returns the numbers of `reconstruct` alone."""
        return self.reconstruct(vision)[1]
