"""Climb from the controller that drove best, in the newest memory's dream:
models/rounds/<round>/candidates."""

from __future__ import annotations

from rounds import ascent, candidates, settings
from rounds.ascent import AscentSettings
from rounds.folders import MEMORY, of_command_line
from wm.control.training.dream import DreamParams, DreamWorld
from wm.core import artifacts, params, seeding
from wm.core.params import Params
from wm.nn import arithmetic, compute
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.executor import create_executor


class TrainController(Params):
    """The parameters of train_controller."""

    dream: DreamParams
    """How the newest memory dreams."""
    ascent: AscentSettings
    """How a controller climbs in its dreams."""


def run() -> None:
    this = of_command_line()
    shared, train = params.load_shared(), settings.load("train_controller", TrainController)
    best = candidates.load(this.before().controller, shared)
    compute.prepare(shared, threads=1)
    world = DreamWorld(
        shared, best.config, train.dream, best.latent_size, MEMORY, this.dreamer,
        this.before().starts, train.ascent.lost_share,
    )  # fmt: skip
    inputs = [*world.inputs, best.folder]
    arithmetic.compare(inputs, shared)
    seed = seeding.integer(shared.seed, "rounds", "train_controller", this.number)
    key = params.key(shared, train)
    with (
        Checkpoint(f"round_{this.number}_train_controller", key, inputs) as checkpoint,
        create_executor(shared, world.create_worker) as executor,
    ):
        climbed, dreamed = ascent.ascend(
            train.ascent, world, executor, best.vector, best.reads_memory, seed, checkpoint
        )
        candidates.publish(this, best, climbed, shared)
        promised = {"dreamed_first": dreamed[0], "dreamed_last": dreamed[-1]}
        artifacts.write_json(this.metrics("train_controller"), promised)


if __name__ == "__main__":
    main(run)
