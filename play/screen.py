"""A window with pictures at the game's own rate, and the keys that are held in it."""

from __future__ import annotations

import os

import pygame
from PIL import Image

from wm.core.car_racing import FRAMES_PER_SECOND
from wm.core.errors import UserError

LINGER = 3.0
"""Seconds for which the last picture stays."""


def demand_display(option: str, remedy: str) -> None:
    """Raises UserError, with what to do instead of `option`, where no window can open."""
    try:
        pygame.display.init()
    except pygame.error as error:
        raise UserError(f"{option}: no display ({error}); {remedy}") from None
    # without a display SDL takes a driver that draws where nobody sees it, and says nothing
    driver = pygame.display.get_driver()
    if driver in ("dummy", "offscreen") and "SDL_VIDEODRIVER" not in os.environ:
        pygame.display.quit()
        raise UserError(f"{option}: no display; {remedy}")


class Screen:
    """A window that opens with its first picture; Escape or its button ends what it shows."""

    def __init__(self, title: str) -> None:
        self.closed = False
        """Whether Escape or the window's button was pressed, or `end` was called."""
        self.held: frozenset[int] = frozenset()
        """The keys (pygame.K_...) that were down at some time since the picture before."""
        self._title = title
        self._down: set[int] = set()
        self._window: pygame.Surface | None = None
        self._clock = pygame.time.Clock()

    def show(self, picture: Image.Image) -> None:
        """Shows an RGB picture, waits until a step of the game has passed since the last wait, and
        reads the keys. All pictures have one size; the window may be larger."""
        if self._window is None:
            self._window = pygame.display.set_mode(picture.size, pygame.SCALED | pygame.RESIZABLE)
            pygame.display.set_caption(self._title)
        content = pygame.image.frombuffer(picture.tobytes(), picture.size, "RGB")
        self._window.blit(content, (0, 0))
        self._wait_and_read_keys()

    def linger(self) -> None:
        """Leaves the last picture in the window for LINGER seconds, unless it is closed."""
        for _ in range(round(LINGER * FRAMES_PER_SECOND)):
            if not self.closed:
                self._wait_and_read_keys()

    def _wait_and_read_keys(self) -> None:
        pygame.display.flip()  # also of a picture that stays: a window that was covered is drawn
        self._clock.tick(FRAMES_PER_SECOND)
        self._read_keys()

    def _read_keys(self) -> None:
        tapped = set()
        for event in pygame.event.get():
            if event.type == pygame.KEYDOWN:
                self._down.add(event.key)
                tapped.add(event.key)
            elif event.type == pygame.KEYUP:
                self._down.discard(event.key)
            self.closed |= event.type == pygame.QUIT
        self.closed |= pygame.K_ESCAPE in tapped
        self.held = frozenset(self._down | tapped)

    def end(self) -> None:
        """Does what Escape does."""
        self.closed = True

    def close(self) -> None:
        """Closes the window."""
        pygame.display.quit()
