"""An environment with what people see of it: its picture under a line with its return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from PIL import Image

from play import pictures


class Watched(gymnasium.Wrapper):
    """An environment that knows its latest picture and its return so far, and may be stopped.

    Its render mode is rgb_array; the picture is `plain`, uint8 (400, 600, 3), or `captioned`.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        caption: Callable[[int], str],
        stopped: Callable[[], bool],
    ) -> None:
        """`caption` says what is written beside the return after so many steps; an episode is
        truncated with the first step after which `stopped`."""
        super().__init__(env)
        self._caption, self._stopped = caption, stopped
        self.steps, self.return_ = 0, 0.0

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Starts an episode as the environment does, and looks at it."""
        result = super().reset(**options)
        self.steps, self.return_ = 0, 0.0
        self._look()
        return result

    def step(self, action: np.ndarray) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Takes a step as the environment does, and looks at it."""
        frame, reward, terminated, truncated, info = super().step(action)
        self.steps += 1
        self.return_ += float(reward)
        self._look()
        # what the environment ended itself was not ended by a person
        truncated = truncated or (self._stopped() and not terminated)
        return frame, reward, terminated, truncated, info

    def _look(self) -> None:
        self.plain = np.asarray(self.render())

    @property
    def captioned(self) -> Image.Image:
        """The latest picture under its line, RGB, 600 wide and 440 high."""
        text = f"return {self.return_:.1f}"
        return pictures.captioned(self.plain, self._caption(self.steps), text)
