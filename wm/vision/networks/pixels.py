"""Frames, uint8 channels last, and what networks see of them, float channels first."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wm.core.car_racing import FRAME_SHAPE


def to_float(frames: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Returns frames, uint8 (N, 64, 64, 3), as float32 (N, 3, 64, 64) in [0, 1], channels-last in
    memory, on `device`."""
    return to_images(frames, device).float() / 255


def to_images(frames: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Returns frames, uint8 (N, 64, 64, 3), as uint8 (N, 3, 64, 64) on `device`; on the CPU a view
    of the same memory."""
    pixels = torch.as_tensor(frames).to(device)
    assert pixels.dtype == torch.uint8, pixels.dtype
    assert pixels.shape[1:] == FRAME_SHAPE, pixels.shape
    return pixels.permute(0, 3, 1, 2)


def to_frames(x: Tensor) -> np.ndarray:
    """Returns x, (N, 3, 64, 64) in [0, 1], as frames, uint8 (N, 64, 64, 3), rounded and clipped."""
    pixels = (x.float() * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy())
