"""Climb from the controller that drove best, in the newest memory's dream:
models/rounds/<round>/candidates."""

from __future__ import annotations

import shutil
from pathlib import Path

from rounds import ascent, settings
from rounds.ascent import AscentSettings
from rounds.folders import MEMORY, of_command_line
from wm.control.policy import controller
from wm.control.training.dream import DreamParams, DreamWorld
from wm.core import artifacts, params, seeding
from wm.core.params import Params
from wm.memory.networks import trained as memory
from wm.nn import arithmetic, compute
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.executor import create_executor
from wm.vision.networks import trained as vision


class TrainController(Params):
    """The parameters of train_controller."""

    dream: DreamParams
    """How the newest memory dreams."""
    ascent: AscentSettings
    """How a controller climbs in its dreams."""


def run() -> None:
    this = of_command_line()
    shared, train = params.load_shared(), settings.load("train_controller", TrainController)
    best, starts = this.before().controller, this.before().of_nearly_best
    size = vision.read_config(Path("models") / shared.vision).latent_size
    hidden = memory.read_config(MEMORY, size).hidden_size
    config, start = controller.load(best, size, hidden)
    on_h = controller.reads_memory(config, size, hidden)
    compute.prepare(shared, threads=1)
    world = DreamWorld(
        shared, config, train.dream, size, MEMORY, this.dreamer, starts, train.ascent.lost_share
    )
    inputs = [*world.inputs, best]
    arithmetic.compare(inputs, shared)
    seed = seeding.integer(shared.seed, "rounds", "train_controller", this.number)
    key = shared.model_dump(include={"seed", *params.ARITHMETIC}) | train.model_dump()
    with (
        Checkpoint(f"round_{this.number}_train_controller", key, inputs) as checkpoint,
        create_executor(shared, world.create_worker) as executor,
    ):
        climbed, dreamed = ascent.ascend(
            train.ascent, world, executor, start, on_h, seed, checkpoint
        )
        with artifacts.publish(this.candidates) as directory:
            shutil.copytree(best, directory / "0")
            for name, vector in enumerate(climbed, 1):
                controller.save(directory / str(name), config, vector)
                arithmetic.record(directory / str(name), shared)
        promised = {"dreamed_first": dreamed[0], "dreamed_last": dreamed[-1]}
        artifacts.write_json(this.metrics("train_controller"), promised)


if __name__ == "__main__":
    main(run)
