"""One official episode, driven by a published model: its return, and a film of it.

python -m play [--models NAME ...] [--track 7] [--window] [--film videos/drive.mp4]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import gymnasium
import numpy as np
import pygame

from play import film, published
from wm.control.policy.agent import Agent
from wm.core.errors import UserError
from wm.core.seeding import evaluation_seed
from wm.env.official import preprocess
from wm.runtime.progress import Progress

STEPS = 1000
"""Of an episode, as gymnasium limits it."""


def drive(
    name: str, agent: Agent, seed: int, *, window: bool, steps: int
) -> tuple[float, list[np.ndarray]]:
    """Returns the return of an episode on the track `seed`, and its frames as people see them,
    uint8 (400, 600, 3); a window shows them instead, and there are none then."""
    env = gymnasium.make("CarRacing-v3", render_mode="human" if window else "rgb_array")
    try:
        observation, _ = env.reset(seed=seed)
    except pygame.error as error:
        raise UserError(f"--window: no display ({error}); leave it out for a film") from None
    agent.begin(1)
    total, frames = 0.0, []
    with Progress(name, steps, "steps") as progress:
        for _ in range(steps):
            (action,) = agent.act(preprocess(observation)[None], np.zeros(1, int))
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            if not window:
                frames.append(np.asarray(env.render()))
            progress.advance(1, **{"return": total})
            if terminated or truncated:
                break
    env.close()
    return total, frames


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
    seed = evaluation_seed(given.track)
    films = []
    for name in given.models:
        total, frames = drive(
            name, published.agent(name), seed, window=given.window, steps=given.steps
        )
        films.append(frames)
        print(f"{name}: return {total:.1f} on track {given.track} (seed {seed})", flush=True)
    if not given.window:
        film.write(given.film, films)
        print(f"the film is {given.film}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
