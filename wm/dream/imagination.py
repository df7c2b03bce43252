"""A controller that drives on in a dream."""

from __future__ import annotations

import numpy as np
import torch

from wm.control.policy.controller import ControllerConfig, Controllers, policy_features
from wm.core.car_racing import ZOOM_STEPS
from wm.core.episodes import Episode
from wm.dream.environment import Dream
from wm.memory.networks.mdnrnn import MDNRNN
from wm.vision.networks.trained import Vision


def episode_and_dream(
    episode: Episode,
    vision: Vision,
    memory: MDNRNN,
    config: ControllerConfig,
    vector: np.ndarray,
    temperature: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns an episode's frames, uint8 (T + 1, 64, 64, 3), and as many of a dream that begins in
    it.

    The memory sees the episode up to the end of the zoom-in (at most its first half), then the
    controller drives on in the dream. Until then the dream's side shows reconstructions.
    """
    context = min(ZOOM_STEPS, len(episode.actions) // 2)
    mu = vision.encode(episode.frames[: context + 1])[0]
    dreamed = imagine(
        memory,
        config,
        vector,
        mu.cpu().numpy(),
        episode.actions[:context],
        len(episode.actions) - context,
        temperature,
        torch.Generator().manual_seed(0),
    )
    return episode.frames, vision.decode(torch.cat([mu, dreamed.to(mu.device)]))


def imagine(
    memory: MDNRNN,
    config: ControllerConfig,
    vector: np.ndarray,
    mu: np.ndarray,
    actions: np.ndarray,
    steps: int,
    temperature: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Lets the controller `vector` (P,) drive on in a dream for `steps` steps.

    The memory first takes in the real z_0 .. z_{C-1}, of `mu` (C + 1, Z), and `actions` (C, 3); the
    dream starts from z_C. Returns the dreamed latents, (steps, Z).
    """
    device = next(memory.parameters()).device
    real = torch.from_numpy(mu).to(device)[None]
    with torch.inference_mode():
        _, state = memory.states(real[:, :-1], torch.tensor(actions, device=device)[None])
        dream = Dream(memory, temperature, generator)
        z = dream.reset(real[:, -1], state)
        features = policy_features(config, z, dream.h)
        parameters = torch.from_numpy(vector.astype(np.float32)).to(device)[None]
        controllers = Controllers(parameters, features.shape[1], config.hidden_units)
        dreamed = []
        for _ in range(steps):
            action = controllers.act(policy_features(config, z, dream.h))
            z = dream.step(action)
            dreamed.append(z[0])
    return torch.stack(dreamed)
