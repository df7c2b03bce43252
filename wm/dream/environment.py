"""The memory as an environment, with latents for observations (World Models, section 4).

A batch of B dreams. An agent in a dream may look at `h` as it does outside: the state before the
latest z and the coming action are taken in.
"""

from __future__ import annotations

import torch

from wm.memory.networks import mixture
from wm.memory.networks.mdnrnn import MDNRNN, State


class Dream:
    """B dreams in lockstep."""

    def __init__(self, memory: MDNRNN, temperature: float, generator: torch.Generator) -> None:
        """Dreams with `memory` at a temperature (section 2.2); `generator` draws the noise."""
        self._memory, self._temperature, self._generator = memory, temperature, generator

    @property
    def h(self) -> torch.Tensor:
        """The memory's state as an agent sees it, float32 (B, H)."""
        return self._state[0]

    def reset(self, z: torch.Tensor, state: State | None = None) -> torch.Tensor:
        """Starts from latents z (B, Z), in the memory's `state` or, without one, its first; returns
        them."""
        self._z = z
        self._state = self._memory.begin(len(z), z.device) if state is None else state
        return z

    @torch.inference_mode()
    def step(self, action: torch.Tensor) -> torch.Tensor:
        """Takes actions (B, 3); returns the next z (B, Z)."""
        prediction, self._state = self._memory.sequence(
            self._z[:, None], action[:, None], self._state
        )
        drawn = mixture.sample(prediction.mixture, self._generator, self._temperature)
        self._z = drawn[:, 0]
        return self._z
