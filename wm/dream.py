"""The memory as an environment, with latents for observations (World Models, section 4).

The real environment's reset and step, over a batch of B dreams. An agent in a dream may look at
`h` as it does outside: the state before the latest z and the coming action are taken in.
"""

from __future__ import annotations

import numpy as np
import torch

from wm import mdnrnn
from wm.agent import policy_features
from wm.controller import ControllerConfig, Controllers
from wm.episodes import Episode
from wm.mdnrnn import MDNRNN, State
from wm.vision import Vision


class Dream:
    """B dreams in step. `temperature` is that of section 4.1; the noise comes from `generator`."""

    def __init__(self, memory: MDNRNN, temperature: float, generator: torch.Generator) -> None:
        self._memory, self._temperature, self._generator = memory, temperature, generator

    @property
    def h(self) -> torch.Tensor:
        """What an agent sees of the memory, float32 (B, H)."""
        return self._state[0]

    def reset(self, z: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """Starts from latents (B, Z) with what the memory remembers (nothing); returns them."""
        self._z = z
        self._state = self._memory.begin(len(z), z.device) if state is None else state
        return z

    @torch.inference_mode()
    def step(self, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """action (B, 3) -> next z (B, Z), reward (B,), probability (B,) that it terminated."""
        prediction, self._state = self._memory.sequence(
            self._z[:, None], action[:, None], self._state
        )
        drawn = mdnrnn.sample(prediction.mixture, self._generator, self._temperature)
        self._z = drawn[:, 0]
        return self._z, prediction.reward[:, 0], torch.sigmoid(prediction.done_logit[:, 0])


ZOOM_STEPS = 50
"""The camera zooms in for the first second; a dream shown beside an episode starts after it."""


def beside(
    episode: Episode,
    vision: Vision,
    memory: MDNRNN,
    config: ControllerConfig,
    vector: np.ndarray,
    temperature: float,
) -> tuple[np.ndarray, np.ndarray]:
    """An episode's frames, uint8 (T + 1, 64, 64, 3), and as many of a dream that begins in it.

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
        state = None
        if len(actions):
            _, state = memory.sequence(real[:, :-1], torch.tensor(actions, device=device)[None])
        dream = Dream(memory, temperature, generator)
        z = dream.reset(real[:, -1], state)
        features = policy_features(config, z, dream.h)
        parameters = torch.from_numpy(vector.astype(np.float32)).to(device)[None]
        controllers = Controllers(parameters, features.shape[1], config.hidden_units)
        dreamed = []
        for _ in range(steps):
            action = controllers.act(policy_features(config, z, dream.h))
            z, _, _ = dream.step(action)
            dreamed.append(z[0])
    return torch.stack(dreamed)
