"""One official episode, driven by a published model: its return, and a film of it.

python -m play [--models NAME ...] [--track 7] [--window] [--film videos/drive.mp4]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pygame
from PIL import Image

from play import published
from wm.control.policy.agent import Agent
from wm.core.errors import UserError
from wm.core.seeding import evaluation_seed
from wm.drive.rollout import rollout
from wm.env import official
from wm.report import figures
from wm.runtime.progress import Progress

STEPS = 1000
"""Of an episode, as gymnasium limits it."""


class Watched(gymnasium.Wrapper):
    """An environment that counts its steps on `progress` and, unless it shows itself in a window,
    keeps what people would see of each: `frames`, uint8 (400, 600, 3)."""

    def __init__(self, env: gymnasium.Env, progress: Progress) -> None:
        super().__init__(env)
        self._progress = progress
        self.frames: list[np.ndarray] = []

    def step(self, action: np.ndarray) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        result = super().step(action)
        if self.render_mode == "rgb_array":
            self.frames.append(np.asarray(self.render()))
        self._progress.advance(1)
        return result


def drive(
    name: str, agent: Agent, seed: int, *, window: bool, steps: int
) -> tuple[float, list[np.ndarray]]:
    """Returns the return of an episode on the track `seed`, and its frames as people see them,
    uint8 (400, 600, 3); a window shows them instead, and there are none then."""
    with Progress(name, steps, "steps") as progress:
        env = Watched(official.make("human" if window else "rgb_array"), progress)
        (outcome,) = rollout([env], [seed], agent, max_steps=steps)
    env.close()
    return outcome.return_, env.frames


def side_by_side(films: Sequence[Sequence[np.ndarray]]) -> Iterator[Image.Image]:
    """Yields the films' frames in a row; a film that has ended stands still."""
    for step in range(max(map(len, films))):
        row = [film[min(step, len(film) - 1)] for film in films]
        yield Image.fromarray(np.concatenate(row, axis=1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Drives, and prints a line a model; raises UserError for what is not there."""
    parser = argparse.ArgumentParser(description="One official episode, by a published model.")
    parser.add_argument(
        "--models",
        nargs="+",
        default=published.names(),
        metavar="NAME",
        help="published runs, or folders like them; several drive side by side",
    )
    parser.add_argument("--track", type=int, default=0, help="a track of evaluation's, from 0")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the episode, at most")
    parser.add_argument("--window", action="store_true", help="show it instead of filming it")
    parser.add_argument("--film", type=Path, default=Path("videos/drive.mp4"))
    given = parser.parse_args(arguments)
    if given.track < 0 or given.steps < 1:
        raise UserError("--track counts from 0 and --steps from 1")
    if given.window:
        try:
            pygame.display.init()
        except pygame.error as error:
            raise UserError(f"--window: no display ({error}); leave it out for a film") from None
    seed = evaluation_seed(given.track)
    films = []
    for name in given.models:
        total, frames = drive(
            name, published.agent(name), seed, window=given.window, steps=given.steps
        )
        films.append(frames)
        print(f"{name}: return {total:.1f} on track {given.track} (seed {seed})", flush=True)
    if not given.window:
        figures.write_film(given.film, side_by_side(films))
        print(f"the film is {given.film}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
