"""What a stage's checkpoint is told apart by: no run goes on with another one's state."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stages import collect, evaluate, train_controller, train_rnn, train_vision
from wm.control.training.settings import TrainController
from wm.core import params
from wm.core.params import Params
from wm.env.exact.checked import Evaluate
from wm.memory.training.settings import TrainRnn
from wm.vision.networks import registry
from wm.vision.training import train as vision_training

NETWORKS = {"seed", "precision", "device"}
"""What of the shared parameters the bytes of whatever computes with networks depend on."""


class OpenedError(Exception):
    """Ends a stage at its checkpoint."""


def opened(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, run: Callable[[], None]
) -> tuple[dict[str, Any], list[str]]:
    """Runs a stage up to the checkpoint of `module`; returns its key and its inputs."""
    found: list[Any] = []

    def open_(stage: str, key: dict[str, Any], inputs: list[Path], *_: Any) -> None:
        found.extend([json.loads(json.dumps(key)), [str(path) for path in inputs]])
        raise OpenedError

    monkeypatch.setattr(module, "Checkpoint", open_)
    with pytest.raises(OpenedError):
        run()
    return found[0], found[1]


def of(section: str, schema: type[Params]) -> dict[str, Any]:
    """The parameters of a stage, as JSON has them."""
    return json.loads(params.load(section, schema)[1].model_dump_json())


@pytest.fixture(autouse=True)
def inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)


def test_collect(monkeypatch: pytest.MonkeyPatch) -> None:
    key, inputs = opened(monkeypatch, collect, collect.run)
    assert key == {"seed": 0} | of("collect", collect.Collect)
    assert inputs == []


@pytest.mark.parametrize("name", ["vae", "vaegan"])
def test_vision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key, inputs = opened(monkeypatch, vision_training, partial(train_vision.run, name))
    settings = of(f"train_{name}", registry.find(name, "learner").Settings)
    assert set(key) == NETWORKS | {"threads"} | set(settings)
    assert key == key | settings
    assert inputs == ["data/episodes"]


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    key, inputs = opened(monkeypatch, train_rnn, train_rnn.run)
    settings = of("train_rnn", TrainRnn)
    assert set(key) == NETWORKS | {"threads"} | set(settings)
    assert key == key | settings
    assert inputs == ["data/episodes", "data/latents", "models/vae"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [("simulator", ["models/vae", "models/rnn"]), ("dream", ["models/rnn", "data/latents"])],
)
def test_controller(where: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = params.load

    def load(section: str, schema: type[Any]) -> Any:
        shared, settings = loaded(section, schema)
        return shared, settings.model_copy(update={"where": where})

    settings = of("train_controller", TrainController) | {"where": where}
    monkeypatch.setattr(params, "load", load)
    key, inputs = opened(monkeypatch, train_controller, train_controller.run)
    assert set(key) == NETWORKS | set(settings)
    assert key == key | settings
    assert inputs == expected


def test_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    key, inputs = opened(monkeypatch, evaluate, evaluate.run)
    settings = of("evaluate", Evaluate)
    assert set(key) == NETWORKS | set(settings)
    assert key == key | settings
    assert inputs == ["models/vae", "models/rnn", "models/controller"]
