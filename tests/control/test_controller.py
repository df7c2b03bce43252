"""A controller's vector against the formula written out, batched against one at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig, Controllers, parameter_count
from wm.core import artifacts
from wm.core.errors import UserError


def config(inputs: str = "zh", hidden_units: int = 0) -> ControllerConfig:
    return ControllerConfig.model_validate(
        {"inputs": inputs, "hidden_units": hidden_units, "sample_z": False}
    )


def test_parameter_counts() -> None:
    assert parameter_count(config(), 32, 256) == 867  # the paper's, section 3.2
    assert parameter_count(config("z"), 32, 256) == 99
    assert parameter_count(config("z", 40), 32, 256) == 33 * 40 + 41 * 3


def test_one_layer_is_the_papers_formula() -> None:
    vector = np.random.default_rng(0).normal(size=(1, 5 * 3 + 3)).astype(np.float32)
    x = np.random.default_rng(1).normal(size=5).astype(np.float32)
    raw = np.tanh(vector[0, :15].reshape(3, 5) @ x + vector[0, 15:])
    action = Controllers(torch.from_numpy(vector), 5, 0).act(torch.from_numpy(x)[None])
    expected = [raw[0], (1 + raw[1]) / 2, (1 + raw[2]) / 2]
    np.testing.assert_allclose(action[0].numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("hidden_units", [0, 7])
def test_batched_is_one_at_a_time_and_in_range(hidden_units: int) -> None:
    count = parameter_count(config("z", hidden_units), 5, 0)
    generator = torch.Generator().manual_seed(0)
    vectors = 3 * torch.randn(6, count, generator=generator)
    features = torch.randn(6, 5, generator=generator)
    together = Controllers(vectors, 5, hidden_units).act(features)
    for i in range(6):
        alone = Controllers(vectors[i : i + 1], 5, hidden_units).act(features[i : i + 1])
        torch.testing.assert_close(alone[0], together[i])
    assert (together.abs() <= 1).all()
    assert (together[:, 1:] >= 0).all()
    assert (together[:, 0] < 0).any()
    kept = Controllers(vectors, 5, hidden_units)
    kept.keep(torch.tensor([1, 4]))
    torch.testing.assert_close(kept.act(features[[1, 4]]), together[[1, 4]])


@pytest.mark.parametrize("hidden_units", [0, 7])
def test_without_the_weights_that_read_the_memory_it_does_not_matter(hidden_units: int) -> None:
    shape = config("zh", hidden_units)
    vector = np.random.default_rng(0).normal(size=parameter_count(shape, 5, 6)).astype(np.float32)
    on_h = controller.reads_memory(shape, 5, 6)
    assert on_h.sum() == 6 * (hidden_units or 3)
    z, one, other = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).split(1)
    seen = [torch.cat([z, h, h[:, :1]], dim=1) for h in (one, other)]

    def actions(vector: np.ndarray) -> list[torch.Tensor]:
        return [Controllers(torch.from_numpy(vector)[None], 11, hidden_units).act(x) for x in seen]

    with_memory, without = actions(vector), actions(np.where(on_h, 0, vector))
    assert (with_memory[0] != with_memory[1]).any()
    assert (without[0] == without[1]).all()


def test_a_biased_controller_ignores_what_it_sees() -> None:
    vector = controller.biased((0.5, 0.0, -1.0), 18)
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    action = Controllers(torch.from_numpy(vector).float().expand(4, -1), 5, 0).act(x)
    expected = [np.tanh(0.5), 0.5, (1 + np.tanh(-1.0)) / 2]
    np.testing.assert_allclose(action.numpy(), np.tile(expected, (4, 1)), rtol=1e-5)


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(AssertionError, match="parameters where"):
        Controllers(torch.zeros(1, 19), 5, 0)


def test_save_and_load(tmp_path: Path) -> None:
    vector = np.arange(99.0)
    controller.save(tmp_path / "c", config("z"), vector)
    loaded, again = controller.load(tmp_path / "c", 32, 256)
    assert loaded == config("z")
    assert (again == vector).all()
    with pytest.raises(UserError, match=r"\(99,\) parameters where these models need \(51,\)"):
        controller.load(tmp_path / "c", 16, 256)
    with pytest.raises(UserError, match="not found"):
        controller.load(tmp_path / "absent", 32, 256)
    artifacts.write_json(tmp_path / "c/config.json", {"inputs": "x"})
    with pytest.raises(UserError, match=r"config.json: inputs"):
        controller.load(tmp_path / "c", 32, 256)
