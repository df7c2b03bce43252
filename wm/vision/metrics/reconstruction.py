"""How good the reconstructions of a vision model are.

- Sums are taken over integers (or in double precision), a batch at a time: memory stays flat, and
  the result does not depend on the order of the batches.
- Road IoU asks for what the driver needs: is the road where it was? A model may paint over a bend
  and lose next to nothing in squared error.
- Sharpness sets blur (below 1) apart from invented texture, such as checkerboards (above 1).
"""

from __future__ import annotations

import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from wm.core import frames
from wm.core.car_racing import road_mask
from wm.core.shards import shards

BATCH = 64
"""Frames that are compared at a time."""
MAX_PSNR = 100.0
"""PSNR in dB of identical frames; theirs is infinite, which JSON has no number for."""


def reconstruction(originals: np.ndarray, reconstructions: np.ndarray) -> dict[str, float]:
    """Compares frames with their reconstructions, both uint8 (N, 64, 64, 3), N >= 1. Returns

    mse        mean squared error of values in [0, 1]
    psnr       10 log10(1 / mse) of the whole set, in dB, at most 100
    ssim       structural similarity, mean over frames (Gaussian window of 11, torchmetrics), <= 1
    road_iou   road pixels in both over road pixels in either, over the whole set; 1 if none in any
    sharpness  gradient energy of the reconstructions over that of the originals; 1 is right

    Raises ValueError if the arrays differ in shape, are not uint8 or are empty.
    """
    _check(originals, reconstructions)
    shared = road = 0
    energy = np.zeros(2, np.int64)
    ssim = 0.0
    for real, fake in zip(shards(originals, BATCH), shards(reconstructions, BATCH), strict=True):
        real_road, fake_road = road_mask(real), road_mask(fake)
        shared += int((real_road & fake_road).sum())
        road += int((real_road | fake_road).sum())
        energy += _gradient_energy(real), _gradient_energy(fake)
        ssim += _ssim(real, fake)
    mse = frames.mse(originals, reconstructions)
    return {
        "mse": mse,
        "psnr": float(min(MAX_PSNR, -10 * np.log10(mse))) if mse else MAX_PSNR,
        "ssim": ssim / len(originals),
        "road_iou": shared / road if road else 1.0,
        "sharpness": float(energy[1] / max(energy[0], 1)),
    }


def _ssim(real: np.ndarray, fake: np.ndarray) -> float:
    """Returns the sum over frames. SSIM is free of scale: values in 0..255 need not be divided."""
    x, y = (torch.from_numpy(frames).permute(0, 3, 1, 2).float() for frames in (fake, real))
    values = structural_similarity_index_measure(x, y, data_range=255.0, reduction="none")
    assert isinstance(values, torch.Tensor)
    return float(values.double().sum())


def _gradient_energy(frames: np.ndarray) -> int:
    """Returns the sum of squared differences between neighbours, down and across."""
    values = frames.astype(np.int32)
    return sum(int(np.square(np.diff(values, axis=axis)).sum(dtype=np.int64)) for axis in (1, 2))


def _check(originals: np.ndarray, reconstructions: np.ndarray) -> None:
    for array in (originals, reconstructions):
        if array.dtype != np.uint8 or array.ndim != 4 or not len(array):
            raise ValueError(f"frames must be uint8 (N, H, W, 3), not {array.dtype} {array.shape}")
    if originals.shape != reconstructions.shape:
        raise ValueError(f"{originals.shape} originals but {reconstructions.shape} reconstructions")
