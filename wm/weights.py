"""A network on disk: weights.safetensors beside the config.json that rebuilds it. No pickles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from wm import artifacts
from wm.errors import UserError

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"

M = TypeVar("M", bound=nn.Module)


def save(directory: Path | str, module: nn.Module, config: dict[str, Any]) -> None:
    """Writes `module`'s parameters and buffers, and `config`, into the folder `directory`."""
    tensors = {
        name: tensor.detach().to("cpu").contiguous().numpy()
        for name, tensor in module.state_dict().items()
    }
    artifacts.save_tensors(Path(directory) / WEIGHTS, tensors)
    artifacts.write_json(Path(directory) / CONFIG, config)


def read_config(directory: Path | str) -> dict[str, Any]:
    """The config saved beside the weights; UserError when it is missing or damaged."""
    config = artifacts.read_json(Path(directory) / CONFIG)
    if not isinstance(config, dict):
        raise UserError(f"{Path(directory) / CONFIG}: not a mapping; run its stage again")
    return config


def load(directory: Path | str, build: Callable[[], M]) -> M:
    """The network that `build` makes, with the weights of the folder `directory`, on the CPU.

    Raises UserError when the file is missing or damaged, or when a tensor is missing, extra or of
    another shape (weights of another latent size, for instance).
    """
    path = Path(directory) / WEIGHTS
    tensors = artifacts.load_tensors(path)
    with torch.device("meta"):  # takes no memory, whatever sizes a config claims
        module = build()
    state = module.state_dict()
    loaded = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
    for name in [*state, *loaded]:
        if name not in loaded or name not in state:
            raise UserError(
                f"{path}: '{name}' is in only one of the file and the network; retrain it"
            )
        found, needed = (f"shape {tuple(t.shape)}, {t.dtype}" for t in (loaded[name], state[name]))
        if found != needed:
            raise UserError(
                f"{path}: '{name}' has {found}, the network needs {needed}; "
                "retrain it with the present parameters"
            )
    module.load_state_dict(loaded, assign=True)
    return module
