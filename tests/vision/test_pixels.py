"""Frames to floats and back."""

from __future__ import annotations

import numpy as np
import torch

from wm.vision.networks.pixels import to_float, to_frames

CPU = torch.device("cpu")


def frames(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def test_float_and_back_is_exact_and_float_is_channels_last() -> None:
    x = to_float(frames(3), CPU)
    assert x.shape == (3, 3, 64, 64)
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert float(x.min()) == 0.0
    assert float(x.max()) == 1.0
    assert np.array_equal(to_frames(x), frames(3))


def test_to_frames_rounds_and_clips() -> None:
    x = torch.tensor([-0.1, 0.4 / 255, 0.6 / 255, 1.1]).reshape(4, 1, 1, 1).expand(4, 3, 64, 64)
    assert to_frames(x)[:, 0, 0, 0].tolist() == [0, 0, 1, 255]
