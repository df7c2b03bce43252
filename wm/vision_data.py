"""What a vision model trains on and what it is measured on.

Apart from `vision`, which every rollout worker imports: the metrics take seconds to import.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wm import episodes, seeding, vae, vision_metrics
from wm.compute import Compute
from wm.vision import Vision, to_float

MEASURED = 256  # frames of a pass over the held-out ones


class VisionData:
    """The frames that a vision model trains on and those it is measured on, split by episode."""

    def __init__(
        self, directory: Path | str, held_out_frames: int, seed: int, compute: Compute
    ) -> None:
        """`held_out` is at most `held_out_frames` frames, evenly spaced over the held-out ones."""
        training_ids, held_out_ids = episodes.split(episodes.ids_in(directory))
        self.training = episodes.FrameSet(directory, training_ids)
        apart = episodes.FrameSet(directory, held_out_ids)
        chosen = np.linspace(0, len(apart) - 1, min(held_out_frames, len(apart)))
        self.held_out = apart[chosen.round().astype(np.int64)]
        self.seed, self.device = seed, compute.device

    def batch(self, step: int, size: int) -> Tensor:
        """x (size, 3, 64, 64) of training step `step`, drawn uniformly: a pure function of it."""
        rng = seeding.generator(self.seed, "batch", step)
        return to_float(self.training[rng.integers(len(self.training), size=size)], self.device)

    def reconstruct(self, vision: Vision) -> np.ndarray:
        """The held-out frames from their mean latents, uint8 like them."""
        return np.concatenate([vision.decode(vision.encode(part)[0]) for part in self._parts()])

    def measure(self, vision: Vision) -> dict[str, float]:
        """vision_metrics.reconstruction on the held-out frames, and `kl`: nats a frame."""
        codes = [vision.encode(part) for part in self._parts()]
        kl = torch.cat([vae.kl_divergence(mu, logvar).sum(dim=1) for mu, logvar in codes])
        pictures = np.concatenate([vision.decode(mu) for mu, _ in codes])
        return vision_metrics.reconstruction(self.held_out, pictures) | {"kl": float(kl.mean())}

    def _parts(self) -> list[np.ndarray]:
        return [
            self.held_out[start : start + MEASURED]
            for start in range(0, len(self.held_out), MEASURED)
        ]
