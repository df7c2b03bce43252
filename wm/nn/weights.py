"""A network on disk: weights.safetensors beside the config.json that rebuilds it. No pickles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from wm.core import artifacts
from wm.core.errors import UserError

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
    """Returns the config saved beside the weights; UserError when it is missing or damaged."""
    config = artifacts.read_json(Path(directory) / CONFIG)
    if not isinstance(config, dict):
        raise UserError(f"{Path(directory) / CONFIG}: not a mapping; run its stage again")
    return config


def load(directory: Path | str, build: Callable[[], M], part: bool = False) -> M:
    """Returns the network that `build` makes, with the weights of the folder `directory`, on the
    CPU.

    With `part`, what was saved may have further modules beside those of the network, such as a
    discriminator that only training needs. Raises UserError when the file is missing or damaged,
    or when a tensor is missing, extra or of another shape (weights of another latent size, say).
    """
    path = Path(directory) / WEIGHTS
    tensors = artifacts.load_tensors(path)
    with torch.device("meta"):  # takes no memory, whatever sizes a config claims
        module = build()
    state = module.state_dict()
    modules = {name.partition(".")[0] for name in state}
    loaded = {
        name: torch.from_numpy(array.copy())
        for name, array in tensors.items()
        if not part or name.partition(".")[0] in modules
    }
    for name in [*state, *loaded]:
        if name not in loaded or name not in state:
            raise UserError(
                f"{path}: '{name}' is in only one of the file and the network; run its stage again"
            )
        found, needed = (f"shape {tuple(t.shape)}, {t.dtype}" for t in (loaded[name], state[name]))
        if found != needed:
            raise UserError(
                f"{path}: '{name}' has {found}, the network needs {needed}; "
                "run its stage again with the present parameters"
            )
    module.load_state_dict(loaded, assign=True)
    return module
