"""A person at the wheel: one official episode by keyboard, kept as the collector keeps its own."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import replace
from itertools import count as count_from
from pathlib import Path

import numpy as np
import pygame
from PIL import Image

from play.screen import Screen
from play.watched import Watched
from wm.core import episodes
from wm.core.car_racing import FRAMES_PER_SECOND
from wm.core.episodes import Episode
from wm.drive.rollout import Outcome, rollout
from wm.drive.telemetry import telemetry
from wm.env import official

EPISODES = Path("data/human")
FIRST_ID = 900_000
"""Of a person's episodes: far above the collector's, so that both fit into one folder."""
FEWEST_STEPS = 10
"""An episode that was stopped before is not kept."""
BRAKE = 0.8
"""As in gymnasium's own human play: from 0.9 on the wheels lock, and a locked car slides."""


def action(held: Set[int]) -> np.ndarray:
    """Returns the action of the arrow keys that are held, float32 (3,): steer -1, 0 or 1, gas 0 or
    1, brake 0 or 0.8. Left and right together steer nowhere."""
    steer = (pygame.K_RIGHT in held) - (pygame.K_LEFT in held)
    return np.array([steer, pygame.K_UP in held, BRAKE * (pygame.K_DOWN in held)], np.float32)


class Keyboard:
    """A person who sees the screen and holds keys; implements wm.drive.rollout.Policy."""

    def __init__(self, screen: Screen, picture: Callable[[], Image.Image]) -> None:
        """`picture` is asked at every step for what the person shall see."""
        self._screen, self._picture = screen, picture

    def begin(self, count: int) -> None:
        """Starts the episode: a person drives one at a time."""
        assert count == 1, f"{count} episodes for one person"

    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Returns the action of the keys that are held now, float32 (1, 3)."""
        self._screen.show(self._picture())
        return action(self._screen.held)[None]


@contextmanager
def ctrl_c_ends(screen: Screen) -> Iterator[None]:
    """In the block Ctrl-C does what Escape does, and nothing more: what was driven can be kept."""
    before = signal.signal(signal.SIGINT, lambda *_: screen.end())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def drive(screen: Screen, track: int, seed: int, steps: int) -> Outcome:
    """Lets a person drive an episode on the track `seed`, named `track`; returns its outcome with
    the recording. When the screen is closed it is truncated. The screen shows the last picture."""
    whole = steps / FRAMES_PER_SECOND

    def caption(taken: int) -> str:
        return f"track {track}: {taken / FRAMES_PER_SECOND:.1f} of {whole:g} s"

    env = Watched(official.make("rgb_array"), caption, lambda: screen.closed)
    person = Keyboard(screen, lambda: env.captioned)
    (outcome,) = rollout([env], [seed], person, max_steps=steps, telemetry=telemetry)
    if not screen.closed:
        screen.show(env.captioned)
    env.close()
    return outcome


def keep(episode: Episode, directory: Path = EPISODES) -> Path:
    """Writes an episode into a file of its own, under the next free id; returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    whole = directory / f".{uuid.uuid4().hex}.tmp"
    for id_ in count_from(max([FIRST_ID - 1, *episodes.ids_in(directory)]) + 1):
        path = directory / episodes.file_name(id_)
        episodes.save(whole, replace(episode, id=id_))
        try:
            os.link(whole, path)  # unlike a rename it never takes another drive's place
        except FileExistsError:
            continue
        except OSError:  # a file system without second names
            if path.exists():
                continue
            os.replace(whole, path)
        finally:
            whole.unlink(missing_ok=True)
        return path
    raise AssertionError("ids have no end")
