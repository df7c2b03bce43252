"""Vision, memory and controllers as one policy for a batch of episodes.

World Models, section 2.4 and figure 8: z[t] is encoded from the frame, the controller acts on
[z[t], h[t]], and only then does the memory take in (z[t], a[t]) to become h[t + 1]. Every step is
one encoder batch, one batched sum for all candidates' controllers and one LSTM step; the mixture is
not evaluated, as only h is needed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig, Controllers, policy_features
from wm.memory.networks.mdnrnn import MDNRNN
from wm.nn.posterior import reparameterise
from wm.vision.networks.trained import Vision


class Agent:
    """Drives episode i with the controller `vectors[candidates[i]]`; implements
    wm.drive.rollout.Policy."""

    def __init__(
        self,
        vision: Vision,
        memory: MDNRNN | None,
        config: ControllerConfig,
        vectors: np.ndarray,
        candidates: np.ndarray,
        noise: torch.Generator,
        watch: Callable[[torch.Tensor], None] | None = None,
    ) -> None:
        """`vectors` is float (C, P), `candidates` int (N,); `memory` may be None if the config does
        not see it. `noise` serves a config that samples z. `watch` is shown h, float32 (n, H),
        as the controllers see it, at every step."""
        assert memory is not None or not config.sees_memory, f"inputs {config.inputs} need a memory"
        self._vision = vision
        self._memory = memory if config.sees_memory else None
        self._config = config
        self._device = vision.compute.device
        vectors = vectors[candidates].astype(np.float32)
        self._vectors = torch.from_numpy(vectors).to(self._device)
        self._noise, self._watch = noise, watch
        hidden_size = self._memory.hidden_size if self._memory else 0
        self._features = controller.feature_count(config, vision.latent_size, hidden_size)

    def begin(self, count: int) -> None:
        """Starts `count` episodes."""
        assert count == len(self._vectors), f"{len(self._vectors)} candidates, {count} episodes"
        self._live = np.arange(count)
        self._count = count
        self._controllers = Controllers(self._vectors, self._features, self._config.hidden_units)
        if self._memory is not None:
            self._h, self._c = self._memory.begin(count, self._device)

    @torch.inference_mode()
    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Returns actions, float32 (n, 3), for frames, uint8 (n, 64, 64, 3), of the episodes
        `live` (ascending; what was left out once stays out)."""
        if len(live) < len(self._live):
            self._drop(live)
        z, logvar = self._vision.encode(frames)
        if self._config.sample_z:
            # drawn for all episodes, so that one's end does not shift the others' noise
            epsilon = torch.randn(self._count, z.shape[1], generator=self._noise)
            z = reparameterise(z, logvar, epsilon[live].to(z.device))
        if self._memory is None:
            return self._controllers.act(z).cpu().numpy()
        if self._watch is not None:
            self._watch(self._h)
        action = self._controllers.act(policy_features(self._config, z, self._h))
        self._h, self._c = self._memory.advance(z, action, (self._h, self._c))
        return action.cpu().numpy()

    def _drop(self, live: np.ndarray) -> None:
        rows = torch.from_numpy(np.searchsorted(self._live, live)).to(self._device)
        self._live = live
        self._controllers.keep(rows)
        if self._memory is not None:
            self._h, self._c = self._h[rows], self._c[rows]
