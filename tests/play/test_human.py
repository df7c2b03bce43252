"""A person at the wheel: keys become actions, and what was driven is what is kept."""

import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pygame
import pytest
from PIL import Image

from play import human
from play.__main__ import main
from play.screen import Screen
from wm.core import episodes
from wm.core.car_racing import ACTION_HIGH, ACTION_LOW
from wm.core.episodes import Episode, EpisodeFile
from wm.core.errors import UserError
from wm.core.seeding import evaluation_seed
from wm.drive.rollout import rollout
from wm.drive.telemetry import telemetry
from wm.env import official

UP, DOWN, LEFT, RIGHT = pygame.K_UP, pygame.K_DOWN, pygame.K_LEFT, pygame.K_RIGHT
PRESS, RELEASE = pygame.KEYDOWN, pygame.KEYUP
FIRST = Path("data/human/episode_900000.safetensors")
Type = Callable[[dict[int, list[tuple[int, int]]]], None]


class Replay:
    """A policy that takes recorded actions."""

    def __init__(self, actions: np.ndarray) -> None:
        self._actions = iter(actions)

    def begin(self, count: int) -> None:
        assert count == 1

    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        return next(self._actions)[None]


@pytest.fixture
def type_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Says at which steps which keys go down and up, in an empty folder and an unseen window."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr("play.screen.LINGER", 0.1)
    monkeypatch.chdir(tmp_path)
    pygame.display.quit()

    def prepare(keys: dict[int, list[tuple[int, int]]]) -> None:
        show, step = Screen.show, iter(range(10**6))

        def typed(self: Screen, picture: Image.Image) -> None:
            for kind, key in keys.get(next(step), []):
                pygame.event.post(pygame.event.Event(kind, key=key))
            show(self, picture)

        monkeypatch.setattr(Screen, "show", typed)

    return prepare


@pytest.mark.parametrize(("held", "expected"), [
    ([], (0, 0, 0)), ([LEFT], (-1, 0, 0)), ([RIGHT], (1, 0, 0)), ([LEFT, RIGHT], (0, 0, 0)),
    ([UP], (0, 1, 0)), ([DOWN], (0, 0, 0.8)), ([UP, DOWN, LEFT], (-1, 1, 0.8)),
    ([pygame.K_a, pygame.K_SPACE], (0, 0, 0)),
])  # fmt: skip
def test_keys_become_actions(held: Iterable[int], expected: tuple[float, float, float]) -> None:
    action = human.action(frozenset(held))
    assert action.dtype == np.float32
    np.testing.assert_array_equal(action, np.float32(expected))
    assert (np.float32(ACTION_LOW) <= action).all()
    assert (action <= np.float32(ACTION_HIGH)).all()


def test_what_was_driven_is_what_is_kept(
    type_keys: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    type_keys({0: [(PRESS, UP)], 8: [(PRESS, RIGHT)], 12: [(RELEASE, UP), (RELEASE, RIGHT)],
               14: [(PRESS, DOWN), (PRESS, LEFT)]})  # fmt: skip
    main(["--human", "--track", "4", "--steps", "20"])
    kept = EpisodeFile(FIRST).read()
    assert (kept.id, kept.seed) == (900_000, evaluation_seed(4))
    assert (kept.terminated, kept.truncated) == (False, True)
    driven = [(0, 1, 0)] * 8 + [(1, 1, 0)] * 4 + [(0, 0, 0)] * 2 + [(-1, 0, 0.8)] * 6
    np.testing.assert_array_equal(kept.actions, np.float32(driven))
    (outcome,) = rollout(
        [official.make()], [kept.seed], Replay(kept.actions), max_steps=20, telemetry=telemetry
    )
    assert outcome.episode is not None
    for name in ("frames", "rewards", "telemetry"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(outcome.episode, name))
    assert capsys.readouterr().out.splitlines() == [
        f"you: return {outcome.return_:.1f} on track 4 (seed {kept.seed})",
        f"the episode of 20 steps is {FIRST}",
    ]


def test_escape_ends_it_and_the_episode_until_then_is_kept(type_keys: Type) -> None:
    type_keys({11: [(PRESS, pygame.K_ESCAPE)]})
    main(["--human", "--steps", "50"])
    kept = EpisodeFile(FIRST).read()
    assert len(kept.actions) == 12
    assert (kept.terminated, kept.truncated) == (False, True)


def test_a_few_steps_are_not_kept(type_keys: Type, capsys: pytest.CaptureFixture[str]) -> None:
    type_keys({2: [(PRESS, pygame.K_ESCAPE)]})
    main(["--human"])
    assert capsys.readouterr().out.splitlines()[-1] == "3 steps are too few: not kept"
    assert not list(FIRST.parent.iterdir())


def test_ctrl_c_ends_it_and_the_episode_until_then_is_kept(
    type_keys: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_keys({})
    show, step = Screen.show, iter(range(10**6))

    def interrupted(self: Screen, picture: Image.Image) -> None:
        if next(step) == 11:
            signal.raise_signal(signal.SIGINT)
        show(self, picture)

    def again(path: Path, episode: Episode) -> None:
        signal.raise_signal(signal.SIGINT)
        save(path, episode)

    save = episodes.save
    monkeypatch.setattr(episodes, "save", again)
    monkeypatch.setattr(Screen, "show", interrupted)
    before = signal.getsignal(signal.SIGINT)
    main(["--human", "--steps", "50"])
    assert len(EpisodeFile(FIRST).actions) == 12
    assert signal.getsignal(signal.SIGINT) is before


def test_a_drive_that_could_not_be_kept_does_not_begin(
    type_keys: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_keys({})
    monkeypatch.setattr(human, "drive", lambda *_: pytest.fail("it began"))
    Path("data").touch()
    with pytest.raises(
        UserError, match=r"^data/human: cannot be made .*your episode would be kept"
    ):
        main(["--human"])


def test_a_person_drives_alone() -> None:
    for other in (["--window"], ["--models", "vae-0"], ["--film", "drive.mp4"]):
        with pytest.raises(UserError, match="--human drives alone"):
            main(["--human", *other])


@pytest.fixture
def episode() -> Episode:
    frames, actions = np.zeros((3, 64, 64, 3), np.uint8), np.zeros((2, 3), np.float32)
    values = np.zeros((3, 6), np.float32)
    return Episode(0, 7, frames, actions, np.array([-0.1, 3.0]), True, False, values)


def test_no_episode_overwrites_another(
    episode: Episode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new" / "human"
    save = episodes.save

    def slowly(path: Path, episode: Episode) -> None:
        time.sleep(0.1)
        save(path, episode)

    monkeypatch.setattr(episodes, "save", slowly)
    with ThreadPoolExecutor(3) as windows:
        paths = sorted(windows.map(lambda _: human.keep(episode, folder), range(3)))
    assert [path.name for path in paths] == [f"episode_{900_000 + i}.safetensors" for i in range(3)]
    kept = [EpisodeFile(path) for path in paths]
    assert [file.id for file in kept] == [900_000, 900_001, 900_002]
    assert all(file.terminated and not file.truncated for file in kept)


def test_without_second_names_for_files_a_drive_is_kept_whole(
    episode: Episode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")  # as FAT does

    monkeypatch.setattr("os.link", refuse)
    paths = [human.keep(episode, tmp_path) for _ in range(2)]
    assert [EpisodeFile(path).id for path in paths] == [900_000, 900_001]
    assert sorted(tmp_path.iterdir()) == paths


def test_what_cannot_be_written_takes_no_id(
    episode: Episode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, episode: Episode) -> None:
        raise UserError("disk full")

    monkeypatch.setattr(episodes, "save", full)
    with pytest.raises(UserError, match="disk full"):
        human.keep(episode, tmp_path)
    assert not episodes.ids_in(tmp_path)
