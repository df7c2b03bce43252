"""Squared errors of frames against floating point."""

import numpy as np
import pytest

from wm.core.frames import mse, mse_of_each, squared_errors


def noise(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def test_errors_are_those_of_floating_point() -> None:
    x, y = noise(0), noise(1)
    y[1] = x[1]
    y[2] = x[2] // 2
    squares = np.square(x / 255 - y / 255)
    assert mse(x, y) == pytest.approx(squares.mean(), rel=1e-12)
    assert mse_of_each(x, y) == pytest.approx(squares.mean(axis=(1, 2, 3)), rel=1e-12)
    assert mse_of_each(x, y)[1] == 0
    assert mse_of_each(x, y).dtype == np.float64


def test_no_difference_wraps_around_or_overflows() -> None:
    black, white = np.zeros((2, 64, 64, 3), np.uint8), np.full((2, 64, 64, 3), 255, np.uint8)
    assert squared_errors(black, white).tolist() == [255**2 * 64 * 64 * 3] * 2
    assert mse(black, white) == mse(white, black) == 1
    assert mse_of_each(white, black).tolist() == [1, 1]
    large = np.zeros((1, 256, 256, 3), np.uint8)  # its sum needs more than 32 bits
    assert mse(large, large + 255) == 1


def test_the_order_of_frames_changes_no_bit() -> None:
    x, y = noise(2, 50), noise(3, 50)
    order = np.random.default_rng(4).permutation(50)
    assert mse(x, y) == mse(x[order], y[order])


def test_frames_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        mse(noise(0, 3), noise(1, 2))
