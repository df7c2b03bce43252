"""Several on one track: each as if alone, and the one that is over stands still."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from PIL import Image

from play import pictures, published, together
from play.watched import Watched
from wm.env import official


class Counting(gymnasium.Env):
    """An environment of `length` steps that shows how many were taken, and pays 1.5 for each."""

    render_mode = "rgb_array"

    def __init__(self, length: int) -> None:
        self._length, self._steps = length, 0

    def reset(self, **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
        return self._frame(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert action[0] == self._length, "another model's action"
        self._steps += 1
        return self._frame(), 1.5, self._steps == self._length, False, {}

    def render(self) -> np.ndarray:  # type: ignore[override]
        return np.full((400, 600, 3), 10 * self._steps, np.uint8)

    def _frame(self) -> np.ndarray:
        return np.full((64, 64, 3), self._length, np.uint8)


class Echo:
    """A policy that steers by what it sees, and refuses a batch of others' frames."""

    def begin(self, count: int) -> None:
        assert count == 1

    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        assert live.tolist() == [0]
        return frames[:, 0, 0].astype(np.float32)


@pytest.fixture
def _counting(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = iter([3, 6])
    monkeypatch.setattr(published, "agent", lambda name: Echo())
    monkeypatch.setattr(official, "make", lambda mode: Counting(next(lengths)))


@pytest.mark.usefixtures("_counting")
def test_the_shorter_one_stands_still_at_its_end() -> None:
    shown: list[Image.Image] = []
    outcomes = together.drive(
        ["short", "long"], 5, steps=9, show=shown.append, stopped=lambda: False
    )
    assert [outcome.steps for outcome in outcomes] == [3, 6]
    assert [outcome.return_ for outcome in outcomes] == [4.5, 9.0]
    assert len(shown) == 6
    for step, picture in enumerate(shown, start=1):
        for name, last, at in (("short", 3, 0), ("long", 6, 600)):
            taken = min(step, last)
            plain = np.full((400, 600, 3), 10 * taken, np.uint8)
            expected = pictures.captioned(plain, name, f"return {1.5 * taken:.1f}")
            assert picture.crop((at, 0, at + 600, 440)) == expected, (name, step)


@pytest.mark.usefixtures("_counting")
def test_a_closed_window_truncates_all_that_still_drive() -> None:
    shown: list[Image.Image] = []
    outcomes = together.drive(
        ["short", "long"], 5, steps=9, show=shown.append, stopped=lambda: len(shown) >= 3
    )
    assert [outcome.steps for outcome in outcomes] == [3, 4]
    assert [outcome.truncated for outcome in outcomes] == [False, True]


def test_an_end_of_the_environment_s_own_is_no_person_s() -> None:
    env = Watched(Counting(1), str, lambda: True)
    env.reset()
    assert env.step(np.ones(3, np.float32))[2:4] == (True, False)
