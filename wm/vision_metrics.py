"""How good a vision model is: its reconstructions, and what its latents hold about the car.

- Sums are taken over integers (or in double precision), a batch at a time: memory stays flat, and
  the result does not depend on the order of the batches.
- Road IoU asks for what the driver needs: is the road where it was? A model may paint over a bend
  and lose next to nothing in squared error.
- Sharpness sets blur (below 1) apart from invented texture, such as checkerboards (above 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

BATCH = 64  # frames
MAX_PSNR = 100.0  # dB; reported for identical frames, whose PSNR is infinite and so not JSON
RIDGE = 1.0  # penalty on standardised inputs, for sums over samples: fades as the data grow


def reconstruction(originals: np.ndarray, reconstructions: np.ndarray) -> dict[str, float]:
    """Compares frames with their reconstructions, both uint8 (N, 64, 64, 3), N >= 1.

    mse        mean squared error of values in [0, 1]
    psnr       10 log10(1 / mse) of the whole set, in dB, at most 100
    ssim       structural similarity, mean over frames (Gaussian window of 11, torchmetrics), <= 1
    road_iou   road pixels in both over road pixels in either, over the whole set; 1 if none in any
    sharpness  gradient energy of the reconstructions over that of the originals; 1 is right

    Raises ValueError if the arrays differ in shape, are not uint8 or are empty.
    """
    _check(originals, reconstructions)
    error = shared = road = 0
    energy = np.zeros(2, np.int64)
    ssim = 0.0
    for start in range(0, len(originals), BATCH):
        real = originals[start : start + BATCH]
        fake = reconstructions[start : start + BATCH]
        error += int(np.square(real.astype(np.int32) - fake).sum(dtype=np.int64))
        real_road, fake_road = road_mask(real), road_mask(fake)
        shared += int((real_road & fake_road).sum())
        road += int((real_road | fake_road).sum())
        energy += _gradient_energy(real), _gradient_energy(fake)
        ssim += _ssim(real, fake)
    mse = error / (255**2 * originals.size)
    return {
        "mse": mse,
        "psnr": float(min(MAX_PSNR, -10 * np.log10(mse))) if mse else MAX_PSNR,
        "ssim": ssim / len(originals),
        "road_iou": shared / road if road else 1.0,
        "sharpness": float(energy[1] / max(energy[0], 1)),
    }


def road_mask(frames: np.ndarray) -> np.ndarray:
    """Road pixels, bool (N, 64, 64), of frames uint8 (N, 64, 64, 3).

    Road is (100..105,) * 3, grass (100, 202..228, 100), beyond the field black, kerbs red and
    white, the car red on black. A road pixel is grey (its channels at most 50 apart: half way to
    grass) and of middle brightness (70 is above half way to black, even where black meets grass;
    170 is below half way to white).
    """
    low, high = frames.min(-1), frames.max(-1)
    return (high - low <= 50) & (low >= 70) & (high <= 170)


def probe(
    z_train: np.ndarray,
    y_train: np.ndarray,
    z_test: np.ndarray,
    y_test: np.ndarray,
    names: Sequence[str],
) -> dict[str, float]:
    """How much of each value in y (N, len(names)) a linear map reads out of z (N, Z).

    Ridge regression in closed form on standardised z, fitted on train; R2 on test against the
    mean of test, so that 1 is perfect, 0 no better than a constant, and below 0 worse than one.
    A value that is constant on test has nothing to explain: 0. Returns {"probe_r2_<name>": R2}.
    """
    inputs, targets = np.asarray(z_train, np.float64), np.asarray(y_train, np.float64)
    mean, std = inputs.mean(0), inputs.std(0)
    std[np.ptp(inputs, axis=0) == 0] = 1  # a dimension that never moves has nothing to say
    inputs = (inputs - mean) / std
    gram = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ (targets - targets.mean(0)))  # (Z, len(names))

    actual = np.asarray(y_test, np.float64)
    predicted = (np.asarray(z_test, np.float64) - mean) / std @ weights + targets.mean(0)
    unexplained = np.square(actual - predicted).sum(0)
    total = np.square(actual - actual.mean(0)).sum(0)
    constant = np.ptp(actual, axis=0) == 0  # its total may be a rounding error instead of 0
    r2 = np.where(constant, 0.0, 1 - unexplained / np.where(constant, 1, total))
    return {f"probe_r2_{name}": float(value) for name, value in zip(names, r2, strict=True)}


def _ssim(real: np.ndarray, fake: np.ndarray) -> float:
    """Sum over frames. SSIM is free of scale: values in 0..255 need not be divided."""
    x, y = (torch.from_numpy(frames).permute(0, 3, 1, 2).float() for frames in (fake, real))
    values = structural_similarity_index_measure(x, y, data_range=255.0, reduction="none")
    assert isinstance(values, torch.Tensor)
    return float(values.double().sum())


def _gradient_energy(frames: np.ndarray) -> int:
    """Sum of squared differences between neighbours, down and across."""
    values = frames.astype(np.int32)
    return sum(int(np.square(np.diff(values, axis=axis)).sum(dtype=np.int64)) for axis in (1, 2))


def _check(originals: np.ndarray, reconstructions: np.ndarray) -> None:
    for frames in (originals, reconstructions):
        if frames.dtype != np.uint8 or frames.ndim != 4 or not len(frames):
            raise ValueError(
                f"frames must be uint8 (N, H, W, 3), not {frames.dtype} {frames.shape}"
            )
    if originals.shape != reconstructions.shape:
        raise ValueError(f"{originals.shape} originals but {reconstructions.shape} reconstructions")
