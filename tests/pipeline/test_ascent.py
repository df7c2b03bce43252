"""The climb along a gradient: its way on a known slope; killed and resumed; in real dreams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rounds.ascent import AscentSettings, ascend
from tests.control.test_controller import config
from tests.control.test_dream_world import VECTORS, H, Z, dream
from wm.control.policy.controller import reads_memory
from wm.control.training.dream import DreamTask, DreamWorld
from wm.core.errors import UserError
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.executor import Processes

__all__ = ["dream"]

SETTINGS = AscentSettings(
    steps=6, length=0.1, momentum=0.5, dreams=5, lost_share=0.0, components=2,
    component_dreams=4, shard_dreams=2, candidate_every=4,
)  # fmt: skip
SCALES = np.array([1.0, 2.0, 4.0])


@dataclass
class Bowl:
    """A world whose return is highest at 0; keeps the seeds that were asked for."""

    seeds: list[list[int]]
    kill_at: int | None = None
    worst: float = 0.0

    def slope(self, worker: None, task: DreamTask) -> tuple[float, np.ndarray]:
        if len(self.seeds) == self.kill_at:
            raise KeyboardInterrupt
        self.seeds.append(task.seeds)
        (vector,) = task.vectors
        count = len(task.seeds)
        sum_ = -count * (SCALES * vector**2).sum() / 2
        return float(sum_), -count * SCALES * vector + self.worst


class Here:
    """An executor without workers."""

    def map(self, function: Any, items: Any) -> Any:
        return (function(None, item) for item in items)


def climb(world: Any, start: np.ndarray, name: str) -> tuple[list[np.ndarray], list[Any]]:
    with Checkpoint("ascent", {"name": name}, []) as checkpoint:
        none = np.zeros(len(start), bool)
        return ascend(SETTINGS, world, Here(), start, none, 7, checkpoint)


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def test_steps_of_one_length_follow_the_gradient_with_momentum() -> None:
    world, start = Bowl([]), np.array([2.0, 1.0, -1.0])
    candidates, rows = climb(world, start, "way")
    here, direction, way, dreamed = start, -SCALES * start, [], []
    for step in range(6):
        dreamed.append(-(SCALES * here**2).sum() / 2)
        direction = direction if not step else 0.5 * direction - 0.5 * SCALES * here
        here = here + 0.1 * direction / np.sqrt((direction**2).sum())
        way.append(here)
    np.testing.assert_allclose(candidates, [way[3], way[5]], rtol=1e-12)
    np.testing.assert_allclose(rows, dreamed, rtol=1e-12)
    assert [len(seeds) for seeds in world.seeds] == [2, 2, 1] * 6
    assert len({seed for seeds in world.seeds for seed in seeds}) == 30  # none dreamed twice


def test_killed_it_climbs_on() -> None:
    start = np.array([2.0, 1.0, -1.0])
    whole, rows = climb(Bowl([]), start, "whole")
    with pytest.raises(KeyboardInterrupt):
        climb(Bowl([], kill_at=10), start, "killed")
    rest = Bowl([])
    resumed, resumed_rows = climb(rest, start, "killed")
    assert len(rest.seeds) == 3 * 3  # of six steps
    assert np.array_equal(resumed, whole)
    assert resumed_rows == rows


def test_a_gradient_that_is_not_finite_is_named() -> None:
    with pytest.raises(UserError, match="the gradient of step 1 is not finite; the memory"):
        climb(Bowl([], worst=np.nan), np.ones(3), "nan")


def test_in_dreams_it_moves_along_components_whoever_works(
    dream: DreamWorld, tmp_path: Path
) -> None:
    world = replace(dream, dreamer=tmp_path / "later")
    on_h = reads_memory(config(), Z, H)
    start = VECTORS[0] / 10
    found = []
    for workers in (1, 2):
        with (
            Checkpoint("ascent", {"name": workers}, []) as checkpoint,
            Processes(workers, world.create_worker) as executor,
        ):
            found.append(ascend(SETTINGS, world, executor, start, on_h, 7, checkpoint))
    assert np.array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    moved = found[0][0][-1] - start
    along = moved[on_h].reshape(-1, H)
    assert np.linalg.matrix_rank(along, tol=1e-9) == 2  # of three actions
    assert np.abs(moved[~on_h]).min() > 0
