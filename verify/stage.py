"""What is behind the name that a stage has in dvc.yaml."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from types import ModuleType

from wm.core.params import VISION_MODELS, Params


def run_of(stage: str) -> Callable[[], None]:
    """Returns the function that runs a stage; all that it needs is imported."""
    if name := _vision_model(stage):
        _learner(name)
        return partial(importlib.import_module("stages.train_vision").run, name)
    run: Callable[[], None] = importlib.import_module(f"stages.{stage}").run
    return run


def schema_of(stage: str) -> type[Params]:
    """Returns the schema of a stage's parameters: the vision model's, or what the stage's module
    defines, or, where that is nothing, Params itself, which has none."""
    if name := _vision_model(stage):
        settings: type[Params] = _learner(name).Settings
        return settings
    module = importlib.import_module(f"stages.{stage}")
    schemas = [
        one for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Params) and one.__module__ == module.__name__
    ]  # fmt: skip
    assert len(schemas) <= 1, f"{module.__name__} defines {len(schemas)} schemas"
    return schemas[0] if schemas else Params


def _vision_model(stage: str) -> str | None:
    """Returns the name of the vision model that a stage trains, if it trains one."""
    name = stage.removeprefix("train_")
    return name if name != stage and name in VISION_MODELS else None


def _learner(vision_model: str) -> ModuleType:
    # imported here: a process that runs collect has no torch in it
    return importlib.import_module("wm.vision.networks.registry").find(vision_model, "learner")
