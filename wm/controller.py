"""The controller C: latents (and the memory's state) to an action, from one flat vector.

World Models, section 2.4 and appendix A.3: a single linear layer on [z, h], 867 parameters at
(32 + 256 + 1) * 3; its outputs through tanh are the steering, and scaled to [0, 1] gas and brake.
Many candidates' vectors act at once, each on its own row of features.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field, ValidationError

from wm import artifacts
from wm.errors import UserError
from wm.params import Params
from wm.weights import CONFIG, WEIGHTS, read_config

ACTIONS = 3


class ControllerConfig(Params):
    """What the controller sees, and whether it has a hidden layer."""

    inputs: Literal["z", "zh"]
    """`z` alone needs no memory model; `zh` is the paper's."""
    hidden_units: int = Field(ge=0)
    """Of a tanh layer between features and action; 0 is none. The paper's ablation has 40."""
    sample_z: bool
    """Act on a sample of z (the paper's code) instead of on its mean, in training and after."""


def feature_count(config: ControllerConfig, latent_size: int, hidden_size: int) -> int:
    """Length F of the controller's input; `hidden_size` is the memory's."""
    return latent_size + (hidden_size if config.inputs == "zh" else 0)


def parameter_count(config: ControllerConfig, latent_size: int, hidden_size: int) -> int:
    """Length P of a controller's vector."""
    features, hidden = feature_count(config, latent_size, hidden_size), config.hidden_units
    last = hidden or features
    return (features + 1) * hidden + (last + 1) * ACTIONS


def biased(bias: tuple[float, float, float], parameters: int) -> np.ndarray:
    """A controller that does the same whatever it sees: float64 (P,), 0 but for the last biases."""
    vector = np.zeros(parameters)
    vector[-ACTIONS:] = bias
    return vector


def reads_memory(config: ControllerConfig, latent_size: int, hidden_size: int) -> np.ndarray:
    """Which of the P parameters are weights of the memory's state h: bool (P,)."""
    features = feature_count(config, latent_size, hidden_size)
    mask = np.zeros(parameter_count(config, latent_size, hidden_size), bool)
    first = mask[: (config.hidden_units or ACTIONS) * features].reshape(-1, features)
    first[:, latent_size:] = True
    return mask


class Controllers:
    """A batch of controllers, unpacked once for many calls."""

    def __init__(self, vectors: torch.Tensor, features: int, hidden_units: int) -> None:
        """`vectors` is float (N, P): for each layer the weights, row by row, then the biases."""
        sizes = [features, hidden_units, ACTIONS] if hidden_units else [features, ACTIONS]
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []
        start = 0
        for before, after in pairwise(sizes):
            weights = vectors[:, start : start + before * after].reshape(-1, after, before)
            start += before * after
            self._layers.append((weights, vectors[:, start : start + after, None]))
            start += after
        assert start == vectors.shape[1], f"{vectors.shape[1]} parameters where {start} belong"

    def keep(self, rows: torch.Tensor) -> None:
        """Leaves only the controllers at `rows`."""
        self._layers = [(weights[rows], bias[rows]) for weights, bias in self._layers]

    def act(self, features: torch.Tensor) -> torch.Tensor:
        """Features (N, F), a row for each controller, to actions (N, 3) in their ranges."""
        x = features[:, :, None]
        for weights, bias in self._layers:
            x = torch.tanh(torch.baddbmm(bias, weights, x))  # (N, layer, 1)
        steer, pedals = x[:, :1, 0], x[:, 1:, 0]
        return torch.cat([steer, (pedals + 1) / 2], dim=1)


def save(directory: Path | str, config: ControllerConfig, vector: np.ndarray) -> None:
    """Writes a controller, float (P,), into the folder `directory`."""
    artifacts.save_tensors(Path(directory) / WEIGHTS, {"vector": vector})
    artifacts.write_json(Path(directory) / CONFIG, config.model_dump())


def load(
    directory: Path | str, latent_size: int, hidden_size: int
) -> tuple[ControllerConfig, np.ndarray]:
    """A saved controller for a vision and a memory of these sizes.

    Raises UserError when it is missing, damaged or made for others.
    """
    try:
        config = ControllerConfig(**read_config(directory))
    except ValidationError as error:
        reason = error.errors()[0]
        raise UserError(
            f"{directory}/{CONFIG}: {reason['loc'][0]}: {reason['msg']}; "
            "run the train_controller stage again"
        ) from None
    vector = artifacts.load_tensors(Path(directory) / WEIGHTS).get("vector", np.empty(0))
    expected = parameter_count(config, latent_size, hidden_size)
    if vector.shape != (expected,):
        raise UserError(
            f"{directory}/{WEIGHTS}: {vector.shape} parameters where these models need "
            f"({expected},); run the train_controller stage again"
        )
    return config, vector
