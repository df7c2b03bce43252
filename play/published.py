"""Models that are in the repository: vision, memory and controller of one run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from wm.control.policy import controller
from wm.control.policy.agent import Agent
from wm.control.policy.driving import AgentSpec
from wm.core.errors import UserError
from wm.core.params import SharedParams
from wm.env import official
from wm.nn import compute

HERE = Path(__file__).parent.parent / "published"
"""A folder for each run: `vision`, `memory`, `controller` and a README with its score; and
`starts`, from which they dream."""
BEST = ("vae-3", "vaegan-0")
"""The study's best run with each vision model, by the mean return over its 1,024 tracks: those that
drive and dream where none is named."""


SHARED = SharedParams(vision="vae", scale="laptop", seed=0, precision="fp32", threads=1)
"""How published models compute: device and precision of it are read, and nothing else."""


def _found() -> list[str]:
    return sorted(path.parent.name for path in HERE.glob("*/controller"))


def names() -> list[str]:
    """Returns the runs that are published; UserError when there are none."""
    if found := _found():
        return found
    raise UserError(f"{HERE}: no run in it; git checkout published brings them back")


def folder(name: str) -> Path:
    """Returns the folder of a published run, or the folder like it that `name` is.

    Raises UserError when there is neither.
    """
    found = HERE / name if name in _found() else Path(name)
    if found.is_dir():
        return found
    others = names()
    if name in BEST:
        raise UserError(f"{HERE / name}: not there; git checkout published/{name} brings it back")
    raise UserError(f"--models {name}: no such run; there are {', '.join(others)}")


@contextmanager
def reading(run: Path) -> Iterator[None]:
    """Has a UserError that tells how to make a model of the folder `run` anew say what brings it
    back, if the run is a published one: no stage writes those."""
    try:
        yield
    except UserError as error:
        reason, remedy, _ = str(error).partition(";")
        published = run.name in (*_found(), *BEST) and run.resolve().parent == HERE.resolve()
        if not remedy or not published:
            raise
        raise UserError(f"{reason}; git checkout published/{run.name} brings it back") from None


def agent(name: str) -> Agent:
    """Returns the agent of a published run, or of a folder like it, for one episode at a time.

    Raises UserError when a model is missing or damaged.
    """
    run = folder(name)
    compute.prepare(SHARED, threads=1)
    spec = AgentSpec(SHARED, official.make, run / "vision", run / "memory")
    with reading(run):
        config, vector = controller.load(run / "controller", *spec.sizes())
        worker, noise = spec.create_worker(), torch.Generator().manual_seed(0)
    return Agent(worker.vision, worker.memory, config, vector[None], np.zeros(1, int), noise)
