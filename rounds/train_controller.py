"""Search on from the agent that drove best: models/rounds/<round>/candidates."""

from __future__ import annotations

import shutil
from typing import Literal

from pydantic import Field

from rounds import settings
from rounds.agents import spec_of
from rounds.folders import Round, of_command_line
from wm.control.policy import controller
from wm.control.training import evolution
from wm.control.training.dream import DreamWorld
from wm.control.training.fitness import World
from wm.control.training.search import search
from wm.control.training.settings import Search
from wm.control.training.simulator import Simulator
from wm.core import artifacts, params, seeding
from wm.env.fast import environment
from wm.nn import arithmetic, compute
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.executor import create_executor


class TrainController(Search):
    """The parameters of train_controller."""

    memory: Literal["kept", "newest"]
    """The memory whose state controllers see: the one that they were found with, or this round's,
    with which those of before drive otherwise."""
    recent: int = Field(ge=1)
    """Dreams begin in the drives of the last so many rounds."""


def run() -> None:
    this = of_command_line()
    shared, train = params.load_shared(), settings.load("train_controller", TrainController)
    agent = this.before().agent
    memory = this.dreamer if train.memory == "newest" else agent / "memory"
    spec = spec_of(shared, memory, environment.make)
    config, start = controller.load(agent / "controller", *spec.sizes())
    on_h = controller.reads_memory(config, *spec.sizes())
    compute.prepare(shared, threads=1)
    world: World
    if train.where == "dream":
        recent = range(max(0, this.number - train.recent), this.number)
        starts = tuple(Round(number).latents for number in recent)
        size = spec.sizes()[0]
        world = DreamWorld(shared, config, train.dream, size, memory, this.dreamer, starts)
    else:
        world = Simulator(spec, config, train.max_steps, train.patience, train.off_road_cost)
    inputs = [*world.inputs, agent / "controller"]
    arithmetic.compare(inputs, shared)
    seed = seeding.integer(shared.seed, "rounds", "train_controller", this.number)
    key = shared.model_dump(include={"seed", *params.ARITHMETIC}) | train.model_dump()
    with (
        Checkpoint(f"round_{this.number}_train_controller", key, inputs) as checkpoint,
        create_executor(shared, world.create_worker) as executor,
    ):
        validated, rows = search(train, world, executor, start, on_h, seed, checkpoint)
        with artifacts.publish(this.candidates) as directory:
            shutil.copytree(memory, directory / "memory")
            for name, vector in enumerate([start, *(mean.vector for mean in validated)]):
                controller.save(directory / str(name), config, vector)
                arithmetic.record(directory / str(name), shared)
        artifacts.write_json(this.metrics("train_controller"), evolution.summary(rows))


if __name__ == "__main__":
    main(run)
