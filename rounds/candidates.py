"""The candidates of a round: the best controller of before, and what was found from there."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rounds.folders import MEMORY, Round
from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig
from wm.core import artifacts
from wm.core.params import SharedParams
from wm.memory.networks import trained as memory
from wm.nn import arithmetic
from wm.vision.networks import trained as vision


@dataclass(frozen=True)
class Candidate:
    """A controller, and what a search from it has to know."""

    folder: Path
    """Where it lies."""
    config: ControllerConfig
    """What it sees."""
    vector: np.ndarray
    """Its parameters, float64 (P,)."""
    reads_memory: np.ndarray
    """Which of them are weights of h, bool (P,)."""
    latent_size: int
    """Z."""


def load(folder: Path, shared: SharedParams) -> Candidate:
    """Returns the controller in `folder`; UserError when a file is missing or damaged."""
    size = vision.read_config(Path("models") / shared.vision).latent_size
    hidden = memory.read_config(MEMORY, size).hidden_size
    config, vector = controller.load(folder, size, hidden)
    on_h = controller.reads_memory(config, size, hidden)
    return Candidate(folder, config, vector, on_h, size)


def publish(
    round_: Round, first: Candidate, found: Sequence[np.ndarray], shared: SharedParams
) -> None:
    """Writes a round's candidates: `first` as 0, and what was `found`, float (P,) each and of the
    same form, from 1 on."""
    with artifacts.publish(round_.candidates) as directory:
        shutil.copytree(first.folder, directory / "0")
        for number, vector in enumerate(found, 1):
            controller.save(directory / str(number), first.config, vector)
            arithmetic.record(directory / str(number), shared)
