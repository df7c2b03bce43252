"""Begin the rounds with what the pipeline made: its memory, and its controller as a candidate.

A controller that has only dreamed owes much to luck: how well it drives differs by hundreds from
one search to the next, and no dream tells (EXPERIMENTS.md). So where the pipeline's has, more
searches find more candidates, and real drives choose. They are as its own, but for their seeds and
dreams.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from pydantic import Field

from rounds import candidates, settings
from rounds.candidates import Candidate
from rounds.folders import MEMORY, Round
from wm.control.policy import controller
from wm.control.training import evolution
from wm.control.training.dream import DreamParams, DreamWorld
from wm.control.training.search import search
from wm.control.training.settings import TrainController
from wm.core import artifacts, params, seeding
from wm.core.errors import UserError
from wm.core.params import Params, SharedParams
from wm.nn import arithmetic, compute
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.executor import create_executor

LATENTS, RNN, CONTROLLER = Path("data/latents"), Path("models/rnn"), Path("models/controller")


class Begin(Params):
    """The parameters of begin."""

    searches: int = Field(ge=0)
    """Searches besides the pipeline's, where that one was in a dream."""
    dream: DreamParams
    """How they dream, in place of the pipeline's."""


def run() -> None:
    for source in (RNN, CONTROLLER):
        if not source.is_dir():
            raise UserError(f"{source}: not found; run the pipeline first: dvc repro")
    begin = settings.load("begin", Begin)
    shared, train = params.load("train_controller", TrainController)
    with artifacts.publish(MEMORY) as directory:
        shutil.copytree(RNN, directory, dirs_exist_ok=True)
    first = candidates.load(CONTROLLER, shared)
    if train.where == "dream":
        _search(shared, train.model_copy(update={"dream": begin.dream}), first, begin.searches)
    else:
        candidates.publish(Round(0), first, [], shared)


def _search(shared: SharedParams, train: TrainController, first: Candidate, searches: int) -> None:
    """Publishes `first` and what `searches` searches in the dream, each with a seed of its own,
    have found."""
    world = DreamWorld(
        shared, first.config, train.dream, first.latent_size, MEMORY, MEMORY, (LATENTS,)
    )
    inputs = [*world.inputs, first.folder]
    arithmetic.compare(inputs, shared)
    compute.prepare(shared, threads=1)
    start = controller.biased(train.start_bias, len(first.reads_memory))
    key = params.key(shared, train)
    with (
        Checkpoint("round_0_begin", key, inputs) as checkpoint,
        create_executor(shared, world.create_worker) as executor,
    ):
        found: list[list[float]] = (checkpoint.load() or {"found": []})["found"]
        for number in range(len(found) + 1, searches + 1):
            title = f"begin, search {number} of {searches}"
            seed = seeding.integer(shared.seed, "rounds", "begin", number)
            with Checkpoint(f"round_0_search_{number}", key, inputs) as of_search:
                validated, _ = search(
                    train, world, executor, start, first.reads_memory, seed, of_search, title
                )
                found.append(evolution.best(validated).vector.tolist())
                checkpoint.save({"found": found})
        vectors = [np.array(vector) for vector in found[:searches]]
        candidates.publish(Round(0), first, vectors, shared)


if __name__ == "__main__":
    main(run)
