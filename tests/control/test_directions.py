"""The directions of h, against what they promise of the controllers made along them."""

import numpy as np
import pytest
import torch

from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig, Controllers
from wm.control.training.directions import coordinates, principal

Z, H = 3, 6


def states(rng: np.random.Generator) -> np.ndarray:
    """Returns states of three hidden causes, off centre: (500, H)."""
    causes = rng.normal(size=(500, 3)) * [5.0, 1.0, 0.2]
    return (causes @ rng.normal(size=(3, H)) + rng.normal(size=H)).astype(np.float32)


def test_coordinates_move_nothing_else() -> None:
    active = np.array([True, False, True])
    assert (coordinates(active) @ [2.0, 3.0] == [2.0, 0.0, 3.0]).all()


@pytest.mark.parametrize("hidden_units", [0, 4])
def test_a_step_is_a_unit_of_an_uncorrelated_component(hidden_units: int) -> None:
    config = ControllerConfig(inputs="zh", hidden_units=hidden_units, sample_z=False)
    on_h = controller.reads_memory(config, Z, H)
    h = states(np.random.default_rng(0))
    basis = principal(on_h, h, 2)
    rows = hidden_units or 3
    assert basis.shape == (len(on_h), (~on_h).sum() + 2 * rows)
    others = (~on_h).sum()
    assert (basis[:, :others] == coordinates(~on_h)).all()
    # what the first layer makes of h, along each direction: (N, rows) of 500 states
    inputs = np.concatenate([np.zeros((len(h), Z)), h], axis=1)
    outputs = np.empty((2 * rows, len(h), rows))
    for k, direction in enumerate(basis[:, others:].T):
        weights = direction[: rows * (Z + H)].reshape(rows, Z + H)
        outputs[k] = inputs @ weights.T + direction[rows * (Z + H) :][:rows]
    moved = outputs.reshape(rows, 2, len(h), rows)
    for row in range(rows):
        others_rows = np.delete(moved[row], row, axis=2)
        assert (others_rows == 0).all()
        one, other = moved[row, 0, :, row], moved[row, 1, :, row]
        np.testing.assert_allclose([one.mean(), other.mean()], 0, atol=1e-6)
        np.testing.assert_allclose([one.std(), other.std()], 1, rtol=1e-6)
        assert abs((one * other).mean()) < 1e-6
    # the greatest variance first, found another way
    _, scales, vectors = np.linalg.svd(h - h.mean(0, dtype=np.float64), full_matrices=False)
    expected = np.abs(((h - h.mean(0, dtype=np.float64)) @ vectors[0]) / scales[0] * len(h) ** 0.5)
    np.testing.assert_allclose(np.abs(moved[0, 0, :, 0]), expected, rtol=1e-4, atol=1e-5)


def test_what_is_found_is_a_linear_controller() -> None:
    config = ControllerConfig(inputs="zh", hidden_units=0, sample_z=False)
    on_h = controller.reads_memory(config, Z, H)
    h = states(np.random.default_rng(1))
    vector = principal(on_h, h, 3) @ np.random.default_rng(2).normal(size=(~on_h).sum() + 9)
    features = torch.cat([torch.zeros(1, Z), torch.from_numpy(h[:1])], dim=1)
    action = Controllers(torch.from_numpy(vector[None]).float(), Z + H, 0).act(features)
    assert action.shape == (1, 3)
    assert torch.isfinite(action).all()
    one = principal(
        on_h, np.eye(len(h), H, dtype=np.float32)[:, :1] @ np.ones((1, H), np.float32), H
    )
    assert np.isfinite(one).all()  # all but one component stand still
    assert np.isfinite(principal(on_h, h * 0, H)).all()  # nothing moves at all
