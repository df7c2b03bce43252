from pathlib import Path

import pytest
import torch
from torch import nn

from wm.core.errors import UserError
from wm.nn import weights


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


class Pair(nn.Module):
    """Two modules, as an encoder and a decoder are."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(3, 2), nn.Linear(2, 3)


class Three(Pair):
    """A further module beside them, as a discriminator is."""

    def __init__(self) -> None:
        super().__init__()
        self.discriminator = nn.Linear(3, 1)


def test_a_part_ignores_the_tensors_of_a_further_module(tmp_path: Path) -> None:
    saved = Three()
    weights.save(tmp_path, saved, {})
    loaded = weights.load(tmp_path, Pair, part=True)
    assert set(loaded.state_dict()) == set(Pair().state_dict())
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, saved.state_dict()[name])
    with pytest.raises(UserError, match=r"'discriminator\.bias' is in only one of the file"):
        weights.load(tmp_path, Pair)


def test_a_part_must_have_all_tensors_of_its_own_modules(tmp_path: Path) -> None:
    weights.save(tmp_path, Pair(), {})
    with pytest.raises(UserError, match=r"'discriminator\.weight'"):
        weights.load(tmp_path, Three, part=True)
    further = Pair()
    further.encoder.register_buffer("scale", torch.ones(1))  # of a module that the network has
    weights.save(tmp_path, further, {})
    with pytest.raises(UserError, match=r"'encoder\.scale'"):
        weights.load(tmp_path, Pair, part=True)
