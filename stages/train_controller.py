"""Evolve the controller, in the simulator or in a dream: models/controller, metrics and curve."""

from __future__ import annotations

from pathlib import Path

from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import agent_spec
from wm.control.training import evolution
from wm.control.training.dream import DreamWorld
from wm.control.training.fitness import World
from wm.control.training.search import search
from wm.control.training.settings import TrainController
from wm.control.training.simulator import Simulator
from wm.core import artifacts, params
from wm.env.fast import environment
from wm.nn import arithmetic, compute
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.executor import create_executor
from wm.runtime.perf import measure

LATENTS, MEMORY = Path("data/latents"), Path("models/rnn")


def run() -> None:
    shared, train = params.load("train_controller", TrainController)
    config = ControllerConfig(**train.model_dump(include=set(ControllerConfig.model_fields)))
    spec = agent_spec(shared, config, environment.make)
    on_h = controller.reads_memory(config, *spec.sizes())
    start = controller.biased(train.start_bias, len(on_h))
    compute.prepare(shared, threads=1)
    world: World
    if train.where == "dream":
        size = spec.sizes()[0]
        world = DreamWorld(shared, config, train.dream, size, MEMORY, MEMORY, (LATENTS,))
    else:
        world = Simulator(spec, config, train.max_steps, train.patience, train.off_road_cost)
    arithmetic.compare(world.inputs, shared)
    key = params.key(shared, train)
    with (
        Checkpoint("train_controller", key, world.inputs) as checkpoint,
        measure("train_controller", checkpoint.elapsed) as meter,
        create_executor(shared, world.create_worker) as executor,
    ):
        validated, rows = search(
            train, world, executor, start, on_h, shared.seed, checkpoint, "train_controller"
        )
        meter.count("episodes", train.episodes)
        with artifacts.publish("models/controller") as directory:
            controller.save(directory, config, evolution.best(validated).vector)
            arithmetic.record(directory, shared)
        artifacts.write_csv("plots/train_controller.csv", rows)
        artifacts.write_json("metrics/train_controller.json", evolution.summary(rows))


if __name__ == "__main__":
    main(run)
