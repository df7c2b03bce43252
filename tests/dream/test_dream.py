"""A dream under a memory whose world is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.control.test_agent import H, Numbers, Z, config, memory
from wm.control.policy.controller import Controllers, parameter_count
from wm.core.episodes import Episode
from wm.dream.environment import Dream
from wm.dream.imagination import episode_and_dream, imagine
from wm.memory.networks import mixture


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_a_step_is_the_memorys_prediction_and_noise_is_repeatable(temperature: float) -> None:
    model = memory()
    z, action = torch.randn(3, Z), torch.rand(3, 3)
    with torch.inference_mode():
        prediction, state = model.sequence(z[:, None], action[:, None])
    results = []
    for seed in (0, 0, 1):
        dream = Dream(model, temperature, torch.Generator().manual_seed(seed))
        assert dream.reset(z) is z
        assert not dream.h.any()
        results.append(dream.step(action))
        torch.testing.assert_close(dream.h, state[0])
    noise = torch.Generator().manual_seed(0)
    drawn = mixture.sample(prediction.mixture, noise, temperature)[:, 0]
    torch.testing.assert_close(results[0][0], drawn)
    torch.testing.assert_close(results[0][1], prediction.reward[:, 0])
    torch.testing.assert_close(results[0][2], torch.sigmoid(prediction.done_logit[:, 0]))
    assert torch.equal(results[0][0], results[1][0])
    assert not torch.equal(results[0][0], results[2][0])


def test_imagine_drives_on_from_the_last_real_latent_with_what_is_remembered() -> None:
    model = memory()
    vector = np.random.default_rng(0).normal(size=parameter_count(config(), Z, H))
    mu = np.random.default_rng(1).normal(size=(4, Z)).astype(np.float32)
    actions = np.random.default_rng(2).uniform(size=(3, 3)).astype(np.float32)
    noise = torch.Generator().manual_seed(0)
    dreamed = imagine(model, config(), vector, mu, actions, 2, 1.0, noise)
    with torch.inference_mode():
        known, taken = torch.from_numpy(mu)[None], torch.from_numpy(actions)[None]
        state = model.sequence(known[:, :3], taken)[1]
        controllers = Controllers(torch.from_numpy(vector.astype(np.float32))[None], Z + H, 0)
        action = controllers.act(torch.cat([known[:, 3], state[0]], dim=1))
        prediction, _ = model.sequence(known[:, 3:], action[:, None], state)
    noise.manual_seed(0)
    torch.testing.assert_close(dreamed[:1], mixture.sample(prediction.mixture, noise)[0])


def test_the_dream_is_as_long_as_the_episode() -> None:
    class Decoding(Numbers):
        def decode(self, z: torch.Tensor) -> np.ndarray:
            return np.zeros((len(z), 64, 64, 3), np.uint8)

    episode = Episode(
        0, 0, np.zeros((11, 64, 64, 3), np.uint8), np.zeros((10, 3), np.float32), np.zeros(10),
        False, True, np.zeros((11, 6), np.float32),
    )  # fmt: skip
    vector = np.zeros(parameter_count(config(), Z, H))
    real, dreamed = episode_and_dream(episode, Decoding(), memory(), config(), vector, 1.0)  # type: ignore[arg-type]
    assert real.shape == dreamed.shape == (11, 64, 64, 3)
