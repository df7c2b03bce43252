"""Metrics of reconstructions by hand, on known pictures and on frames of an episode."""

import cv2
import gymnasium
import numpy as np
import pytest

from wm.core.car_racing import road_mask
from wm.vision.metrics import reconstruction as module
from wm.vision.metrics.reconstruction import reconstruction

GRASS, ROAD = (100, 202, 100), (102, 102, 102)


def noise(seed, n=3):
    return np.random.default_rng(seed).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def real():
    """Six frames of one official episode, (6, 64, 64, 3): zooming in, straight and bend."""
    env = gymnasium.make("CarRacing-v3")
    env.reset(seed=0)
    frames = []
    for step in range(91):
        observation, *_ = env.step(np.array([0, 0.3, 0], np.float32))
        if step in (0, 20, 50, 60, 75, 90):
            frames.append(cv2.resize(observation[:84], (64, 64), interpolation=cv2.INTER_AREA))
    env.close()
    return np.stack(frames)


def test_identical_frames_are_perfect(real):
    result = reconstruction(real, real)
    assert result == {
        "mse": 0,
        "psnr": module.MAX_PSNR,
        "ssim": pytest.approx(1, abs=1e-6),
        "road_iou": 1,
        "sharpness": 1,
    }


def test_mse_and_psnr_by_hand():
    x, y = noise(0), noise(1)
    by_hand = np.mean((x / 255 - y / 255) ** 2)
    result = reconstruction(x, y)
    assert result["mse"] == pytest.approx(by_hand, rel=1e-12)
    assert result["psnr"] == pytest.approx(-10 * np.log10(by_hand))


def test_black_against_white_is_as_far_as_it_goes():
    black = np.zeros((2, 64, 64, 3), np.uint8)
    result = reconstruction(black, black + 255)
    assert result["mse"] == 1
    assert result["psnr"] == 0


def test_ssim_is_symmetric_and_bounded():
    x, y = noise(2), noise(3)
    forth, back = reconstruction(x, y)["ssim"], reconstruction(y, x)["ssim"]
    assert forth == pytest.approx(back, abs=1e-6)
    assert -1 <= forth < 0.1


def test_ssim_of_flat_frames_by_the_formula():
    """Without variance only the luminance is left: (2ab + c1) / (a^2 + b^2 + c1)."""
    a, b = 51, 204
    x = np.full((1, 64, 64, 3), a, np.uint8)
    y = np.full((1, 64, 64, 3), b, np.uint8)
    expected = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    assert reconstruction(x, y)["ssim"] == pytest.approx(expected, abs=1e-4)


def test_ssim_golden_value_and_an_independent_implementation():
    """OpenCV's Gaussian blur and the formula of Wang et al. 2004 (eq. 13)."""
    x, y = noise(4, n=1)[0], noise(5, n=1)[0]
    y = x // 2 + y // 2

    def blur(image):
        return cv2.GaussianBlur(image, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT_101)

    p, q = x / 255, y / 255
    mean_p, mean_q = blur(p), blur(q)
    var_p, var_q = blur(p * p) - mean_p**2, blur(q * q) - mean_q**2
    covariance = blur(p * q) - mean_p * mean_q
    c1, c2 = 0.01**2, 0.03**2
    expected = np.mean(
        (2 * mean_p * mean_q + c1)
        * (2 * covariance + c2)
        / ((mean_p**2 + mean_q**2 + c1) * (var_p + var_q + c2))
    )
    result = reconstruction(x[None], y[None])["ssim"]
    assert result == pytest.approx(expected, abs=1e-5)
    assert result == pytest.approx(0.659996, abs=1e-5)  # torchmetrics 1.9.0


def test_road_iou_of_known_masks():
    original = np.full((1, 64, 64, 3), GRASS, np.uint8)
    reconstructed = original.copy()
    original[:, :, 10:30] = ROAD  # 20 columns
    reconstructed[:, :, 15:35] = ROAD  # 15 of them shared, 25 in either
    assert reconstruction(original, reconstructed)["road_iou"] == 15 / 25


def test_road_iou_is_over_the_whole_set_and_survives_frames_without_road():
    grass = np.full((1, 64, 64, 3), GRASS, np.uint8)
    road = np.full((1, 64, 64, 3), ROAD, np.uint8)
    assert reconstruction(grass, grass)["road_iou"] == 1
    assert reconstruction(grass, road)["road_iou"] == 0
    both = np.concatenate([grass, road])
    assert reconstruction(both, np.concatenate([road, road]))["road_iou"] == 0.5


def test_road_iou_on_real_frames(real):
    shares = road_mask(real).mean((1, 2))
    assert np.all((shares > 0.02) & (shares < 0.5))
    shifted = np.roll(real, 3, axis=2)
    further = np.roll(real, 6, axis=2)
    near, far = (reconstruction(real, other)["road_iou"] for other in (shifted, further))
    assert 0.2 < far < near < 0.95
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 1) for frame in real])
    assert reconstruction(real, blurred)["road_iou"] > 0.85


def test_sharpness_tells_blur_from_noise(real):
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 1) for frame in real])
    assert reconstruction(real, blurred)["sharpness"] < 0.7
    checkered = real.copy()
    checkered[:, ::2, ::2] = np.minimum(checkered[:, ::2, ::2], 225) + 30
    assert reconstruction(real, checkered)["sharpness"] > 1.2


def test_sharpness_by_hand():
    step = np.zeros((1, 64, 64, 3), np.uint8)
    step[:, :, 32:] = 100
    assert reconstruction(step, step // 2)["sharpness"] == 0.25


def test_batches_do_not_change_the_result(real, monkeypatch):
    other = np.roll(real, 1, axis=1)
    whole = reconstruction(real, other)
    monkeypatch.setattr(module, "BATCH", 4)  # 6 frames: one batch is shorter
    parts = reconstruction(real, other)
    assert parts == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (noise(0, 2), noise(0, 3), "originals but"),
        (noise(0, 2) / 255, noise(0, 2) / 255, "uint8"),
        (noise(0, 0), noise(0, 0), "uint8"),
    ],
)
def test_what_is_not_frames_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        reconstruction(x, y)
