"""The exact renderer with gymnasium's own beside it, where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

import gymnasium
import numpy as np
import pygame
from pydantic import Field

from wm.core import seeding
from wm.core.car_racing import MAX_EPISODE_STEPS
from wm.core.errors import UserError
from wm.core.params import Params
from wm.env import official
from wm.env.exact.environment import ExactCarRacing


class Evaluate(Params):
    """The parameters of evaluate, the pipeline's and the rounds': which official tracks are driven,
    and what draws their frames."""

    renderer: Literal["exact", "official"]
    """Our renderer, or gymnasium's own, whose frames ours repeats byte for byte."""
    checked_episodes: int = Field(ge=0)
    """The first episodes, in which each step of the exact renderer is compared with gymnasium's."""
    first_track: int = Field(ge=0, le=2**28)
    """The evaluation track of the first episode; the others follow it."""
    episodes: int = Field(ge=2)
    """Episodes to drive, each on a track of its own."""
    max_steps: int = Field(ge=1, le=MAX_EPISODE_STEPS)
    """The number of steps after which an episode is truncated."""
    shard_episodes: int = Field(ge=1)
    """Episodes that a worker drives in lockstep; part of the result's last bits."""

    @property
    def tracks(self) -> list[int]:
        """The track seeds of the episodes."""
        return [seeding.evaluation_seed(self.first_track + i) for i in range(self.episodes)]


def maker(drives: Evaluate) -> Callable[[], gymnasium.Env]:
    """Returns what makes the environments of the drives; it is picklable."""
    if drives.renderer == "official":
        return official.make
    return partial(CheckedCarRacing, drives.tracks[: drives.checked_episodes])


class CheckedCarRacing(ExactCarRacing):
    """An ExactCarRacing that raises UserError where a frame, a reward, an end or a finished lap is
    not gymnasium's, on the tracks that are checked."""

    def __init__(self, seeds: Iterable[int]) -> None:
        """`seeds` are those of the tracks that are checked."""
        super().__init__()
        self._checked = frozenset(seeds)
        self._beside: gymnasium.Env | None = None  # while the track is one of them
        self._official: gymnasium.Env | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode as ExactCarRacing does."""
        frame, info = super().reset(seed=seed, options=options)
        self._beside = None
        if seed in self._checked:
            if self._official is None:
                self._official = official.make()
            self._beside = self._official
            self._compare(frame, self._beside.reset(seed=seed)[0], "frame")
        return frame, info

    def step(  # type: ignore[override]
        self, action: np.ndarray
    ) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Takes a step as ExactCarRacing does."""
        result = super().step(action)
        if self._beside is not None:
            expected = self._beside.step(action)
            # gymnasium's own has a time limit, which a rollout sees to
            for name, got, wanted in zip(
                ("frame", "reward", "terminated"), result[:3], expected[:3], strict=True
            ):
                self._compare(got, wanted, name)
            lap, its = (found[4].get("lap_finished", False) for found in (result, expected))
            self._compare(lap, its, "lap_finished")
        return result

    @staticmethod
    def _compare(got: Any, wanted: Any, name: str) -> None:
        if not np.array_equal(got, wanted):
            package = "pygame-ce" if getattr(pygame, "IS_CE", 0) else "pygame"
            raise UserError(
                f"the exact renderer's {name} is not gymnasium's, with {package} "
                f"{pygame.version.ver}; set evaluate's renderer to official"
            )
