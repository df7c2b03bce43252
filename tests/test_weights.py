from pathlib import Path

import pytest
import torch
from torch import nn

from wm import weights
from wm.errors import UserError


def test_round_trip(tmp_path: Path) -> None:
    saved = nn.BatchNorm1d(3)
    saved(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))
    weights.save(tmp_path, saved, {"size": 3})
    loaded = weights.load(tmp_path, lambda: nn.BatchNorm1d(3))
    assert weights.read_config(tmp_path) == {"size": 3}
    for name, tensor in saved.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])


def test_another_shape_names_file_and_tensor(tmp_path: Path) -> None:
    weights.save(tmp_path, nn.Linear(32, 2), {})
    with pytest.raises(UserError, match=r"weights\.safetensors: 'weight' has shape \(2, 32\)"):
        weights.load(tmp_path, lambda: nn.Linear(16, 2))


def test_missing_and_extra_tensors_are_named(tmp_path: Path) -> None:
    weights.save(tmp_path, nn.Linear(2, 2, bias=False), {})
    with pytest.raises(UserError, match="'bias'"):
        weights.load(tmp_path, lambda: nn.Linear(2, 2))
    weights.save(tmp_path, nn.Linear(2, 2), {})
    with pytest.raises(UserError, match="'bias'"):
        weights.load(tmp_path, lambda: nn.Linear(2, 2, bias=False))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json: not found"):
        weights.read_config(tmp_path)
    with pytest.raises(UserError, match=r"weights\.safetensors: not found"):
        weights.load(tmp_path, lambda: nn.Linear(2, 2))


def test_a_config_that_claims_a_huge_network_takes_no_memory(tmp_path: Path) -> None:
    weights.save(tmp_path, nn.Linear(2, 2), {})
    with pytest.raises(UserError, match="shape"):
        weights.load(tmp_path, lambda: nn.Linear(2**24, 2**24))
