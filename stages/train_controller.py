"""Evolve the controller on the fast renderer: models/controller, its metrics and curve."""

from __future__ import annotations

from functools import partial

from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import agent_spec
from wm.control.training import evolution, plan
from wm.control.training.cma_es import PhasedCmaEs
from wm.control.training.fitness import ReturnFitness
from wm.control.training.settings import TrainController
from wm.core import artifacts, params
from wm.env.fast import environment
from wm.nn import arithmetic, compute
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.executor import create_executor
from wm.runtime.perf import measure


def run() -> None:
    shared, train = params.load("train_controller", TrainController)
    config = ControllerConfig(**train.model_dump(include=set(ControllerConfig.model_fields)))
    spec = agent_spec(shared, config, environment.make)
    on_h = controller.reads_memory(config, *spec.sizes())
    start = controller.biased(train.start_bias, len(on_h))
    compute.prepare(shared, threads=1)
    arithmetic.compare(spec.directories, shared)
    key = shared.model_dump(include={"seed", *params.ARITHMETIC}) | train.model_dump()
    with (
        Checkpoint("train_controller", key, spec.directories) as checkpoint,
        measure("train_controller", checkpoint.elapsed) as meter,
        create_executor(shared, spec.create_worker) as executor,
    ):
        fitness = ReturnFitness(
            executor, config, shared.seed, train.shard_episodes, train.max_steps, train.patience
        )
        vector, rows = evolution.evolve(
            PhasedCmaEs(start, plan.phases(train, on_h, fitness), shared.seed),
            partial(plan.drive, train, fitness),
            lambda vector: fitness.validation(vector, train.validation_episodes),
            generations=train.generations, validate_every=train.validate_every,
            weight_decay=train.weight_decay, checkpoint=checkpoint, title="train_controller",
        )  # fmt: skip
        meter.count("episodes", train.episodes)
        with artifacts.publish("models/controller") as directory:
            controller.save(directory, config, vector)
            arithmetic.record(directory, shared)
        artifacts.write_csv("plots/train_controller.csv", rows)
        artifacts.write_json("metrics/train_controller.json", evolution.summary(rows))


if __name__ == "__main__":
    main(run)
