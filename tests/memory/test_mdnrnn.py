"""The MDN-RNN's steps against its sequences, and the trained one on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wm.core import artifacts
from wm.core.errors import UserError
from wm.memory.networks import trained
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig


def test_a_step_is_a_sequence_of_one() -> None:
    torch.manual_seed(0)
    model = MDNRNN(4, MdnRnnConfig(hidden_size=16, mixtures=2))
    z, action = torch.randn(3, 7, 4), torch.randn(3, 7, 3)
    with torch.inference_mode():
        whole, last = model.sequence(z, action)
        state = model.begin(3)
        for t in range(7):
            state = model.advance(z[:, t], action[:, t], state)
            step = model.predict(state[0][:, None])
            for a, b in zip((*step.mixture, *step[1:]), (*whole.mixture, *whole[1:]), strict=True):
                torch.testing.assert_close(a[:, 0], b[:, t])
        states, end = model.states(z, action)
        nothing, before = model.states(z[:, :0], action[:, :0], last)
    torch.testing.assert_close(state, last)
    torch.testing.assert_close(end, last)
    torch.testing.assert_close(states[:, -1], last[0])
    assert nothing.shape == (3, 0, 16)
    assert before is last
    assert not any(part.any() for part in model.states(z[:, :0], action[:, :0])[1])


def test_save_and_load(tmp_path: Path) -> None:
    config = MdnRnnConfig(hidden_size=16, mixtures=2)
    model = MDNRNN(4, config)
    trained.save(tmp_path, model, config)
    loaded = trained.load(tmp_path, 4, torch.device("cpu"))
    assert trained.read_config(tmp_path, 4) == config
    assert not loaded.training
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name]), name
    assert not any(weight.requires_grad for weight in loaded.parameters())
    with pytest.raises(UserError, match="latent_size is 4, vision's 5; run train_rnn again"):
        trained.load(tmp_path, 5, torch.device("cpu"))
    artifacts.write_json(tmp_path / "config.json", {"latent_size": 4, "hidden_size": 0})
    with pytest.raises(UserError, match=r"config\.json: hidden_size: .*; run train_rnn again"):
        trained.read_config(tmp_path, 4)
