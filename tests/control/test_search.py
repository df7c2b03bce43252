"""What a search's parameters come to: directions, and which tracks come back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig
from wm.control.training.directions import coordinates, principal
from wm.control.training.search import drive, phases
from wm.control.training.settings import SearchPhase, TrainController
from wm.control.training.tracks import Drives
from wm.core import params
from wm.core.errors import UserError

Z, H = 3, 6
STATES = np.random.default_rng(0).normal(size=(50, H)).astype(np.float32)


class Fans:
    """A fitness whose returns fan out by less, the later a track was first driven."""

    def __init__(self) -> None:
        self.begun: dict[int, int] = {}

    def training(
        self, vectors: np.ndarray, number: int, episodes: int, repeated: Sequence[int] = ()
    ) -> Drives:
        fresh = [100 * number + i for i in range(episodes - len(repeated))]
        seeds = fresh + list(repeated)
        shrunk = [self.begun.setdefault(seed, len(self.begun) + 1) for seed in seeds]
        return Drives(seeds, [[i / by for by in shrunk] for i in range(len(vectors))])

    def memory_states(self, mean: np.ndarray, tracks: int) -> np.ndarray:
        assert tracks == 5
        return STATES


def train(inputs: str = "zh") -> TrainController:
    alike = {
        "population": 4,
        "sigma": 0.1,
        "final_sigma": None,
        "mean_rate": 1.0,
        "mirrored": False,
    }
    phases = {
        "one": {"weights": "z", "generations": 2, "episodes": 1, "repeated_tracks": 0, **alike},
        "two": {
            "weights": "components", "generations": 3, "episodes": 3, "repeated_tracks": 2,
            "population": 6, "sigma": 0.2, "final_sigma": 0.1, "mean_rate": 0.5, "mirrored": True,
        },
        "three": {"weights": "all", "generations": 1, "episodes": 1, "repeated_tracks": 1, **alike},
    }  # fmt: skip
    return TrainController.model_validate({
        "inputs": inputs, "hidden_units": 0, "sample_z": False, "start_bias": (0, 0, 0),
        "phases": phases, "memory_components": 2, "memory_tracks": 5, "weight_decay": 0,
        "where": "simulator",
        "dream": {"steps": 1, "context": 1, "temperature": 1, "discount": None},
        "max_steps": 10, "patience": None, "off_road_cost": 0.0, "shard_episodes": 4,
        "validate_every": 1, "validation_episodes": 1,
    })  # fmt: skip


def test_each_phase_has_its_directions() -> None:
    on_h = controller.reads_memory(ControllerConfig(**_config("zh")), Z, H)
    one, two, three = phases(train(), on_h, Fans())  # type: ignore[arg-type]
    mean = np.zeros(len(on_h))
    assert (one.directions(mean) == coordinates(~on_h)).all()
    assert (two.directions(mean) == principal(on_h, STATES, 2)).all()
    assert (three.directions(mean) == np.eye(len(on_h))).all()
    assert [phase.settings for phase in (one, two, three)] == list(train().phases.values())


def test_without_memory_all_phases_have_all_weights() -> None:
    on_h = controller.reads_memory(ControllerConfig(**_config("z")), Z, H)
    for phase in phases(train("z"), on_h, Fans()):  # type: ignore[arg-type]
        assert (phase.directions(np.zeros(len(on_h))) == np.eye(3 * (Z + 1))).all()


def test_tracks_come_back_within_their_phase() -> None:
    fitness, drives = Fans(), []
    for _ in range(train().generations):
        vectors = np.zeros((4, 2))
        drives.append(drive(train(), fitness, vectors, drives))  # type: ignore[arg-type]
    assert [generation.seeds for generation in drives] == [
        [0], [100],
        [200, 201, 202], [300, 200, 201], [400, 200, 201],
        [500],
    ]  # fmt: skip


def test_the_parameters_count() -> None:
    assert train().generations == 6
    assert train().episodes == 2 * 4 * 1 + 3 * 6 * 3 + 1 * 4 * 1
    assert isinstance(train().phases["two"], SearchPhase)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            "repeated_tracks: 3",
            r"phases\.tail\.repeated_tracks: Input should be at most the episodes",
        ),
        (
            "repeated_tracks: 1, tracks: 2",
            r"train_controller\.phases\.tail\.tracks: unknown key; known keys: generations, .*, "
            r"weights, episodes, repeated_tracks$",
        ),
        ("repeated_tracks: -1", r"phases\.tail\.repeated_tracks"),
    ],
)
def test_a_phase_that_cannot_be_is_named(tmp_path: Path, change: str, complaint: str) -> None:
    path = tmp_path / "params.yaml"
    text = Path("params.yaml").read_text().replace("scale: laptop", "scale: smoke")
    path.write_text(text.replace("repeated_tracks: 1", change, 1))
    with pytest.raises(UserError, match=complaint):
        params.load("train_controller", TrainController, path)


def _config(inputs: str) -> dict[str, object]:
    return {"inputs": inputs, "hidden_units": 0, "sample_z": False}
