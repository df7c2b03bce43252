"""Evolve the controller on the fast renderer: models/controller, its metrics and curve."""

from __future__ import annotations

import numpy as np

from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import agent_spec
from wm.control.training import evolution
from wm.control.training.cma_es import Phase, PhasedCmaEs
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
    on_z = ~controller.reads_memory(config, *spec.sizes())
    phases = [Phase(train.z_generations, train.z_sigma, on_z),
              Phase(train.generations, train.sigma, np.ones_like(on_z))]  # fmt: skip
    if on_z.all():
        phases = [Phase(train.z_generations + train.generations, train.z_sigma, on_z)]
    start = controller.biased(train.start_bias, len(on_z))
    optimizer = PhasedCmaEs(start, phases, train.population, shared.seed)
    compute.prepare(shared, threads=1)
    arithmetic.compare(spec.directories, shared)
    key = shared.model_dump(include={"seed", *params.ARITHMETIC}) | train.model_dump()
    with (
        Checkpoint("train_controller", key, spec.directories) as checkpoint,
        measure("train_controller", checkpoint.elapsed) as meter,
        create_executor(shared, spec.create_worker) as executor,
    ):
        fitness = ReturnFitness(
            executor, config, shared.seed, train.episodes, train.shard_candidates,
            train.max_steps, train.patience,
        )  # fmt: skip
        vector, rows = evolution.evolve(
            optimizer, fitness.training,
            lambda vector: fitness.validation(vector, train.validation_episodes),
            generations=optimizer.generations, validate_every=train.validate_every,
            weight_decay=train.weight_decay, checkpoint=checkpoint, title="train_controller",
        )  # fmt: skip
        meter.count("episodes", len(rows) * train.population * train.episodes)
        with artifacts.publish("models/controller") as directory:
            controller.save(directory, config, vector)
            arithmetic.record(directory, shared)
        artifacts.write_csv("plots/train_controller.csv", rows)
        artifacts.write_json("metrics/train_controller.json", evolution.summary(rows))


if __name__ == "__main__":
    main(run)
