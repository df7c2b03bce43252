"""Begin the rounds with what the pipeline made: its memory, and its controller as a candidate.

A controller that has only dreamed owes much to luck: how well it drives differs by hundreds from
one search to the next, and no dream tells (EXPERIMENTS.md). So where the pipeline's has, more
searches like its own find more candidates, and real drives choose.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from pydantic import Field

from rounds import settings
from rounds.folders import MEMORY, Round
from wm.control.policy import controller
from wm.control.training import evolution
from wm.control.training.dream import DreamWorld
from wm.control.training.search import search
from wm.control.training.settings import TrainController
from wm.core import artifacts, params, seeding
from wm.core.errors import UserError
from wm.core.params import Params, SharedParams
from wm.memory.networks import trained as memory
from wm.nn import arithmetic, compute
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.executor import create_executor
from wm.vision.networks import trained as vision

LATENTS, RNN, CONTROLLER = Path("data/latents"), Path("models/rnn"), Path("models/controller")


class Begin(Params):
    """The parameters of begin."""

    searches: int = Field(ge=0)
    """Searches besides the pipeline's, where that one was in a dream."""


def run() -> None:
    for source in (RNN, CONTROLLER):
        if not source.is_dir():
            raise UserError(f"{source}: not found; run the pipeline first: dvc repro")
    begin = settings.load("begin", Begin)
    shared, train = params.load("train_controller", TrainController)
    with artifacts.publish(MEMORY) as directory:
        shutil.copytree(RNN, directory, dirs_exist_ok=True)
    with artifacts.publish(Round(0).candidates) as directory:
        shutil.copytree(CONTROLLER, directory / "0")
        if train.where == "dream":
            _search(shared, train, begin.searches, directory)


def _search(shared: SharedParams, train: TrainController, searches: int, directory: Path) -> None:
    """Searches in the dream as the pipeline has, each time with another seed, and writes what is
    found into folders of `directory`, named 1, 2, ..."""
    size = vision.read_config(Path("models") / shared.vision).latent_size
    hidden = memory.read_config(MEMORY, size).hidden_size
    config, _ = controller.load(CONTROLLER, size, hidden)
    on_h = controller.reads_memory(config, size, hidden)
    start = controller.biased(train.start_bias, len(on_h))
    compute.prepare(shared, threads=1)
    world = DreamWorld(shared, config, train.dream, size, MEMORY, MEMORY, (LATENTS,))
    arithmetic.compare(world.inputs, shared)
    key = shared.model_dump(include={"seed", *params.ARITHMETIC}) | train.model_dump()
    with (
        Checkpoint("round_0_begin", key, world.inputs) as checkpoint,
        create_executor(shared, world.create_worker) as executor,
    ):
        found: list[list[float]] = (checkpoint.load() or {"found": []})["found"]
        for number in range(len(found) + 1, searches + 1):
            seed = seeding.integer(shared.seed, "rounds", "begin", number)
            with Checkpoint(f"round_0_search_{number}", key, world.inputs) as of_search:
                validated, _ = search(train, world, executor, start, on_h, seed, of_search)
                found.append(evolution.best(validated).vector.tolist())
                checkpoint.save({"found": found})
        for number, vector in enumerate(found, 1):
            controller.save(directory / str(number), config, np.array(vector))
            arithmetic.record(directory / str(number), shared)


if __name__ == "__main__":
    main(run)
