"""A dream under a memory whose world is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.control.test_agent import H, Numbers, Z, config, frames, memory
from wm.control.policy.controller import Controllers, parameter_count
from wm.core.car_racing import ZOOM_STEPS
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
    torch.testing.assert_close(results[0], drawn)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_imagine_drives_on_from_the_last_real_latent_with_what_is_remembered() -> None:
    model = memory()
    vector = np.random.default_rng(0).normal(size=parameter_count(config(), Z, H))
    mu = np.random.default_rng(1).normal(size=(4, Z)).astype(np.float32)
    actions = np.random.default_rng(2).uniform(size=(3, 3)).astype(np.float32)
    noise = torch.Generator().manual_seed(0)
    dreamed = imagine(model, config(), vector, mu, actions, 2, 1.0, noise)
    noise.manual_seed(0)
    with torch.inference_mode():
        known, taken = torch.from_numpy(mu)[None], torch.from_numpy(actions)[None]
        state = model.sequence(known[:, :3], taken)[1]
        controllers = Controllers(torch.from_numpy(vector.astype(np.float32))[None], Z + H, 0)
        z = known[:, 3]
        for dreamed_z in dreamed:
            action = controllers.act(torch.cat([z, state[0]], dim=1))
            prediction, state = model.sequence(z[:, None], action[:, None], state)
            z = mixture.sample(prediction.mixture, noise, 1.0)[:, 0]
            torch.testing.assert_close(dreamed_z[None], z)
    assert len(dreamed) == 2


class Decoding(Numbers):
    """Its pictures are the latents themselves."""

    def decode(self, z: torch.Tensor) -> np.ndarray:
        return z.numpy()


@pytest.mark.parametrize(("steps", "context"), [(10, 5), (2 * ZOOM_STEPS + 20, ZOOM_STEPS)])
def test_a_film_s_dream_begins_in_the_episode_and_is_as_long(steps: int, context: int) -> None:
    actions = np.random.default_rng(0).uniform(size=(steps, 3)).astype(np.float32)
    episode = Episode(
        0, 0, frames([number % 256 for number in range(steps + 1)]), actions, np.zeros(steps),
        False, True, np.zeros((steps + 1, 6), np.float32),
    )  # fmt: skip
    vector = np.random.default_rng(1).normal(size=parameter_count(config(), Z, H))
    real, dreamed = episode_and_dream(episode, Decoding(), memory(), config(), vector, 1.0)  # type: ignore[arg-type]
    assert real is episode.frames
    mu = Numbers().encode(episode.frames[: context + 1])[0].numpy()
    assert np.array_equal(dreamed[: context + 1], mu)
    noise = torch.Generator().manual_seed(0)
    there = imagine(memory(), config(), vector, mu, actions[:context], steps - context, 1.0, noise)
    assert np.array_equal(dreamed[context + 1 :], there.numpy())
