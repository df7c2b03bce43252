"""Finds a vision model by its name, which is the name of its package in wm/vision/models.

A package has two modules. `networks` is imported wherever the trained model runs:

    Config                         a VisionConfig; it is saved beside the weights
    build(config)                  a fresh encoder (x -> mu, logvar) and decoder (z -> x)

`learner` is imported where the model is trained:

    Settings                       Config and `wm.vision.training.settings.TrainingSettings` in one
    create_learner(settings, ...)  a `wm.vision.training.train.VisionLearner`

Nothing else names a model: a third one is a package, a stage in dvc.yaml and a section in
params.yaml (docs/extending.md).
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal

from wm.core.errors import UserError
from wm.core.params import VISION_MODELS, Params, Size


class VisionConfig(Params):
    """What defines the networks of a vision model; each model adds its own fields."""

    latent_size: Size = 32
    """The number of latent dimensions Z."""


def find(name: str, part: Literal["networks", "learner"]) -> ModuleType:
    """Returns a module of the vision model `name`; UserError when there is no such model."""
    if name not in VISION_MODELS:
        raise UserError(f"vision model {name!r}: not one of {', '.join(VISION_MODELS)}")
    return importlib.import_module(f"wm.vision.models.{name}.{part}")
