"""The linear probe against least squares, and which frames it takes."""

import numpy as np
import pytest

from wm.core.car_racing import TELEMETRY
from wm.report.probe import RIDGE, probe, probe_latents


def probe_data(seed, train=500, test=200, z=8):
    rng = np.random.default_rng(seed)
    latents = rng.normal(size=(train + test, z)) * rng.uniform(0.1, 5, z) + rng.normal(size=z)
    values = latents @ rng.normal(size=(z, 2)) + rng.normal(0, 2, (train + test, 2))
    return latents[:train], values[:train], latents[train:], values[train:]


def test_probe_equals_least_squares_on_augmented_rows():
    """Ridge is least squares with sqrt(penalty) * I appended as further rows with target 0."""
    z_train, y_train, z_test, y_test = probe_data(0)
    x = (z_train - z_train.mean(0)) / z_train.std(0)
    rows = np.vstack([x, np.sqrt(RIDGE) * np.eye(8)])
    targets = np.vstack([y_train - y_train.mean(0), np.zeros((8, 2))])
    weights = np.linalg.lstsq(rows, targets, rcond=None)[0]
    predicted = (z_test - z_train.mean(0)) / z_train.std(0) @ weights + y_train.mean(0)
    expected = 1 - ((y_test - predicted) ** 2).mean(0) / y_test.var(0)
    result = probe(z_train, y_train, z_test, y_test, ("speed", "offset"))
    assert result == pytest.approx(
        {"probe_r2_speed": expected[0], "probe_r2_offset": expected[1]}, rel=1e-9
    )


def test_probe_reads_what_is_there_and_only_that():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(1000, 4)).astype(np.float32)
    y = np.stack([3 * z[:, 0] - z[:, 2] + 7, rng.normal(size=1000)], 1).astype(np.float32)
    result = probe(z[:800], y[:800], z[800:], y[800:], ("linear", "unrelated"))
    assert result["probe_r2_linear"] > 0.999
    assert -0.1 < result["probe_r2_unrelated"] < 0.05


def test_probe_may_be_worse_than_a_constant():
    z = np.linspace(-1, 1, 50)[:, None]
    assert probe(z, z, z, -z, ("flipped",))["probe_r2_flipped"] < -2


def test_probe_with_nothing_to_explain_and_with_a_dead_latent():
    z_train, y_train, z_test, y_test = probe_data(2)
    y_train[:, 0] = y_test[:, 0] = 0.1  # a mean of tenths is not exactly a tenth
    names = ("constant", "other")
    z_train[:, 3], z_test[:, 3] = 0.1, 0.2
    result = probe(z_train, y_train, z_test, y_test, names)
    z_train, z_test = np.delete(z_train, 3, axis=1), np.delete(z_test, 3, axis=1)
    assert result == pytest.approx(probe(z_train, y_train, z_test, y_test, names))
    assert result["probe_r2_constant"] == 0


def test_probe_needs_a_name_for_each_value():
    with pytest.raises(ValueError, match="zip"):
        probe(*probe_data(3), ("speed",))


def test_the_probe_leaves_out_frames_off_the_road_and_against_the_track():
    rng = np.random.default_rng(0)
    offset, heading = TELEMETRY.index("lateral_offset"), TELEMETRY.index("heading_error")
    latents, telemetry = {}, {}
    for id_ in range(20):
        z = rng.normal(size=(60, 3))
        values = np.zeros((60, len(TELEMETRY)))
        values[:, offset], values[:, heading] = z[:, 0], 0.3 * z[:, 1]
        values[:20, offset] = 100 * rng.choice([-1, 1], 20)  # far off the road
        values[20:40, heading] = 3.0  # along it, but backwards
        latents[id_], telemetry[id_] = z, values
    result = probe_latents(latents, telemetry)
    assert result["probe_r2_lateral_offset"] == pytest.approx(1, abs=1e-3)
    assert result["probe_r2_heading_error"] == pytest.approx(1, abs=1e-3)
