"""The trained memory on disk."""

from __future__ import annotations

from pathlib import Path

import torch

from wm.core.errors import UserError
from wm.core.params import validated
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.nn import weights


def save(directory: Path | str, model: MDNRNN, config: MdnRnnConfig) -> None:
    """Writes the network into the folder `directory`."""
    weights.save(directory, model, {"latent_size": model.latent_size, **config.model_dump()})


def load(directory: Path | str, latent_size: int, device: torch.device) -> MDNRNN:
    """Returns the network in `directory`, for latents of this size, in inference mode.

    Raises UserError when it is missing, damaged or made for another vision model.
    """
    config = read_config(directory, latent_size)
    model = weights.load(directory, lambda: MDNRNN(latent_size, config))
    return model.to(device).eval().requires_grad_(False)


def read_config(directory: Path | str, latent_size: int) -> MdnRnnConfig:
    """Returns the shape of the network in `directory`, which is for latents of this size;
    UserError as in `load`."""
    saved = weights.read_config(directory)
    path = Path(directory) / weights.CONFIG
    if (size := saved.pop("latent_size", None)) != latent_size:
        raise UserError(
            f"{path}: latent_size is {size!r}, vision's {latent_size}; run train_rnn again"
        )
    return validated(MdnRnnConfig, saved, path, "run train_rnn again")
