"""What a worker process keeps and writes while it drives: environments, and recorded episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from wm.core import episodes
from wm.drive.rollout import Env, Outcome

MakeEnv = Callable[[], Env]
"""Makes an environment, as the `make` of a module in `wm.env` does."""


class WorkerEnvs:
    """A worker's environments of one kind, made when they are first needed."""

    def __init__(self, make: MakeEnv) -> None:
        self._make = make
        self._envs: list[Env] = []

    def first(self, count: int) -> list[Env]:
        """Returns `count` environments, the same ones every time."""
        while len(self._envs) < count:
            self._envs.append(self._make())
        return self._envs[:count]


def save_recordings(directory: Path, ids: Sequence[int], outcomes: Sequence[Outcome]) -> None:
    """Writes the recording of each outcome into `directory` under its id."""
    for id_, outcome in zip(ids, outcomes, strict=True):
        assert outcome.episode is not None
        path = directory / episodes.file_name(id_)
        episodes.save(path, replace(outcome.episode, id=id_))
