"""Evolve the controller on the fast renderer: models/controller, its metrics and curve."""

from __future__ import annotations

import numpy as np

from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import agent_spec
from wm.control.training import directions, evolution
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


def phases(train: TrainController, on_h: np.ndarray, fitness: ReturnFitness) -> list[Phase]:
    def of_h(mean: np.ndarray) -> np.ndarray:
        if train.memory_components is None:
            return directions.coordinates(np.ones_like(on_h))
        states = fitness.memory_states(mean, train.memory_tracks)
        return directions.principal(on_h, states, train.memory_components)

    of_z = directions.coordinates(~on_h)
    if not on_h.any():
        return [Phase(train.z_generations + train.generations, train.z_sigma, lambda _: of_z)]
    return [Phase(train.z_generations, train.z_sigma, lambda _: of_z),
            Phase(train.generations, train.sigma, of_h)]  # fmt: skip


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
            executor, config, shared.seed, train.episodes, train.shard_candidates,
            train.max_steps, train.patience,
        )  # fmt: skip
        optimizer = PhasedCmaEs(start, phases(train, on_h, fitness), train.population, shared.seed)
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
