"""What is behind the name that a stage has in dvc.yaml."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from types import ModuleType

from wm.core import params
from wm.core.params import VISION_MODELS, Params

STAGES = (*params.STAGES, "measure_rnn", "dream_page", "costs")
"""Names of all stages, in an order in which they can run: `dream_page` has no section in
params.yaml."""


def run_of(stage: str) -> Callable[[], None]:
    """Returns the function that runs a stage; all that it needs is imported."""
    if name := _vision_model(stage):
        _learner(name)
        return partial(importlib.import_module("stages.train_vision").run, name)
    run: Callable[[], None] = importlib.import_module(f"stages.{stage}").run
    return run


def schema_of(stage: str) -> type[Params]:
    """Returns the schema of a stage's parameters: the vision model's Settings, or what the stage's
    module has under the stage's name (TrainRnn of train_rnn); Params itself, which has no field,
    for a stage without parameters."""
    if name := _vision_model(stage):
        settings: type[Params] = _learner(name).Settings
        return settings
    module = importlib.import_module(f"stages.{stage}")
    schema: type[Params] = getattr(module, stage.title().replace("_", ""), Params)
    return schema


def _vision_model(stage: str) -> str | None:
    """Returns the name of the vision model that a stage trains, if it trains one."""
    name = stage.removeprefix("train_")
    return name if name != stage and name in VISION_MODELS else None


def _learner(vision_model: str) -> ModuleType:
    # imported here: a process that runs collect has no torch in it
    return importlib.import_module("wm.vision.networks.registry").find(vision_model, "learner")
