"""The window: no display is one line; keys are held, tapped and let go; the game's own rate."""

import time
from collections.abc import Iterator

import pygame
import pytest
from PIL import Image

from play.__main__ import main
from play.screen import Screen
from wm.core.errors import UserError

PICTURE = Image.new("RGB", (60, 44), (10, 200, 30))


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.quit()
    pygame.display.init()
    opened = Screen("test")
    opened.show(PICTURE)
    yield opened
    opened.close()


def post(kind: int, key: int) -> None:
    pygame.event.post(pygame.event.Event(kind, key=key))


@pytest.mark.parametrize("driver", [None, "x11"])
@pytest.mark.parametrize("option", ["--window", "--human"])
def test_no_display_is_one_line(
    option: str, driver: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    if driver:
        monkeypatch.setenv("SDL_VIDEODRIVER", driver)
    pygame.display.quit()
    with pytest.raises(UserError, match=f"^{option}: no display"):
        main([option, "--steps", "2"])


def test_it_shows_the_picture(screen: Screen) -> None:
    window = pygame.display.get_surface()
    assert window is not None
    assert window.get_size() == (60, 44)
    assert window.get_at((30, 20))[:3] == (10, 200, 30)


def test_a_key_is_held_until_it_is_let_go_and_a_tap_counts_once(screen: Screen) -> None:
    post(pygame.KEYDOWN, pygame.K_UP)
    post(pygame.KEYDOWN, pygame.K_LEFT)
    post(pygame.KEYUP, pygame.K_LEFT)
    screen.show(PICTURE)
    assert screen.held == {pygame.K_UP, pygame.K_LEFT}
    screen.show(PICTURE)
    assert screen.held == {pygame.K_UP}
    post(pygame.KEYUP, pygame.K_UP)
    screen.show(PICTURE)
    assert not screen.held
    assert not screen.closed


def test_escape_and_the_window_s_button_close_it(screen: Screen) -> None:
    post(pygame.KEYDOWN, pygame.K_ESCAPE)
    screen.show(PICTURE)
    assert screen.closed
    other = Screen("other")
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    other.show(PICTURE)
    assert other.closed


def test_it_is_never_faster_than_the_game(screen: Screen) -> None:
    screen.show(PICTURE)
    start = time.monotonic()
    for _ in range(10):
        screen.show(PICTURE)
    assert time.monotonic() - start > 0.18


def test_the_last_picture_stays_until_the_window_is_closed(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("play.screen.LINGER", 0.2)
    start = time.monotonic()
    screen.linger()
    assert time.monotonic() - start > 0.16
    post(pygame.KEYDOWN, pygame.K_ESCAPE)
    monkeypatch.setattr("play.screen.LINGER", 60.0)
    start = time.monotonic()
    screen.linger()
    assert time.monotonic() - start < 30
