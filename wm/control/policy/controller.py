"""The controller C: latents (and the memory's state) to an action, from one flat vector.

World Models, section 2.3 and appendix A.3: a single linear layer on [z, h], 867 parameters at
(32 + 256 + 1) * 3; its outputs through tanh are the steering, and scaled to [0, 1] gas and brake.
Many candidates' vectors act at once, each on its own row of features.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from wm.core import artifacts
from wm.core.car_racing import ACTION_SIZE
from wm.core.errors import UserError
from wm.core.params import Params, validated
from wm.nn import weights
from wm.nn.functions import tanh
from wm.nn.weights import CONFIG, WEIGHTS


class ControllerConfig(Params):
    """What the controller sees, and whether it has a hidden layer."""

    inputs: Literal["z", "zh"]
    """The controller's features: `z` alone needs no memory model; `zh` is the paper's."""
    hidden_units: int = Field(ge=0)
    """Units of a tanh layer between features and action; 0 is none, the paper's ablation has 40."""
    sample_z: bool
    """Whether it acts on a sample of z (the paper's code) or on its mean, in training and after."""

    @property
    def sees_memory(self) -> bool:
        """Whether the memory's state h is among the features."""
        return self.inputs == "zh"


def policy_features(config: ControllerConfig, z: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Returns what the controller sees of z (N, Z) and h (N, H): (N, F)."""
    return torch.cat([z, h], dim=1) if config.sees_memory else z


def feature_count(config: ControllerConfig, latent_size: int, hidden_size: int) -> int:
    """Returns the length F of the controller's input; `hidden_size` is the memory's."""
    return latent_size + (hidden_size if config.sees_memory else 0)


def parameter_count(config: ControllerConfig, latent_size: int, hidden_size: int) -> int:
    """Returns the length P of a controller's vector."""
    features, hidden = feature_count(config, latent_size, hidden_size), config.hidden_units
    last = hidden or features
    return (features + 1) * hidden + (last + 1) * ACTION_SIZE


def biased(bias: tuple[float, float, float], parameters: int) -> np.ndarray:
    """Returns a controller that does the same whatever it sees: float64 (P,), 0 but for the last
    biases."""
    vector = np.zeros(parameters)
    vector[-ACTION_SIZE:] = bias
    return vector


def reads_memory(config: ControllerConfig, latent_size: int, hidden_size: int) -> np.ndarray:
    """Returns which of the P parameters are weights of the memory's state h: bool (P,)."""
    features = feature_count(config, latent_size, hidden_size)
    mask = np.zeros(parameter_count(config, latent_size, hidden_size), bool)
    first = mask[: (config.hidden_units or ACTION_SIZE) * features].reshape(-1, features)
    first[:, latent_size:] = True
    return mask


class Controllers:
    """A batch of controllers, unpacked once for many calls."""

    def __init__(self, vectors: torch.Tensor, features: int, hidden_units: int) -> None:
        """`vectors` is float (N, P): for each layer the weights, row by row, then the biases."""
        sizes = [features, hidden_units, ACTION_SIZE] if hidden_units else [features, ACTION_SIZE]
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []
        start = 0
        for before, after in pairwise(sizes):
            weight = vectors[:, start : start + before * after].reshape(-1, after, before)
            start += before * after
            self._layers.append((weight, vectors[:, start : start + after]))
            start += after
        assert start == vectors.shape[1], f"{vectors.shape[1]} parameters where {start} belong"

    def keep(self, rows: torch.Tensor) -> None:
        """Keeps only the controllers at `rows`, int (n,)."""
        self._layers = [(weight[rows], bias[rows]) for weight, bias in self._layers]

    def act(self, features: torch.Tensor) -> torch.Tensor:
        """Returns actions (N, 3) in their ranges for features (N, F), a row for each controller."""
        x = features
        for weight, bias in self._layers:
            x = tanh((weight * x[:, None]).sum(2) + bias)  # (N, layer)
        steer, pedals = x[:, :1], x[:, 1:]
        return torch.cat([steer, (pedals + 1) / 2], dim=1)


def save(directory: Path | str, config: ControllerConfig, vector: np.ndarray) -> None:
    """Writes a controller, float (P,), into the folder `directory`."""
    artifacts.save_tensors(Path(directory) / WEIGHTS, {"vector": vector})
    artifacts.write_json(Path(directory) / CONFIG, config.model_dump())


def read_config(directory: Path | str) -> ControllerConfig:
    """Returns what the controller in `directory` sees; UserError when it is missing or damaged."""
    saved = weights.read_config(directory)
    path = Path(directory) / CONFIG
    return validated(ControllerConfig, saved, path, "run train_controller again")


def load(
    directory: Path | str, latent_size: int, hidden_size: int
) -> tuple[ControllerConfig, np.ndarray]:
    """Returns a saved controller, float (P,), for a vision and a memory of these sizes.

    Raises UserError when it is missing, damaged or made for others.
    """
    config = read_config(directory)
    vector = artifacts.load_tensors(Path(directory) / WEIGHTS).get("vector", np.empty(0))
    expected = parameter_count(config, latent_size, hidden_size)
    if vector.shape != (expected,):
        raise UserError(
            f"{directory}/{WEIGHTS}: {vector.shape} parameters where these models need "
            f"({expected},); run train_controller again"
        )
    return config, vector
