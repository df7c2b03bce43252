"""Evolve the controller on the fast renderer: models/controller, its metrics and curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from wm import artifacts, controller, evolution, params, seeding, weights
from wm.controller import ControllerConfig
from wm.executor import Executor
from wm.perf import measure
from wm.scratch import Checkpoint
from wm.stage import main
from wm.workers import Fleet, models

MODEL = Path("models/controller")


class TrainController(ControllerConfig):
    population: int = Field(ge=4)
    episodes: int = Field(ge=1)
    """A candidate's, on tracks that all candidates of a generation share; new ones for the next."""
    generations: int = Field(ge=1)
    sigma: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    max_steps: int = Field(ge=1)
    patience: int | None = Field(ge=1)
    """Steps without a new tile that end an episode (null: none do)."""
    shard_candidates: int = Field(ge=1)
    """That a worker drives in lockstep; part of the result's last bits."""
    validate_every: int = Field(ge=1)
    validation_episodes: int = Field(ge=1)
    """Of the distribution's mean, always on the same tracks, none of them evaluate's."""


def run() -> None:
    shared, train = params.load("train_controller", TrainController)
    config = ControllerConfig(**train.model_dump(include=set(ControllerConfig.model_fields)))
    where = models(shared, config, "fast")
    latent_size = weights.read_config(where.vision)["latent_size"]
    hidden_size = weights.read_config(where.memory)["hidden_size"] if where.memory else 0
    size = controller.parameter_count(config, latent_size, hidden_size)
    key = shared.model_dump(include={"seed", "precision"}) | train.model_dump()
    with (
        Checkpoint("train_controller", key, where.directories) as checkpoint,
        measure("train_controller", checkpoint) as meter,
        Executor(shared.workers, where.cockpit) as executor,
    ):
        fleet = Fleet(executor, config, train.max_steps, train.patience)

        def evaluate(generation: int, vectors: np.ndarray) -> np.ndarray:
            tracks = range(train.episodes)
            seeds = [seeding.integer(shared.seed, "train", generation, i) for i in tracks]
            noise = seeding.integer(shared.seed, "train noise", generation)
            return fleet.fitness(vectors, seeds, noise, train.shard_candidates)

        def validate(vector: np.ndarray) -> float:
            tracks = range(train.validation_episodes)
            seeds = [seeding.integer(shared.seed, "validate", i) for i in tracks]
            noise = seeding.integer(shared.seed, "validate noise")
            return fleet.mean_return(vector, seeds, noise, train.episodes * train.shard_candidates)

        vector, rows = evolution.evolve(
            evaluate, validate, start=np.zeros(size),
            sigma=train.sigma, population=train.population, generations=train.generations,
            validate_every=train.validate_every, weight_decay=train.weight_decay,
            seed=shared.seed, checkpoint=checkpoint, title="train_controller",
        )  # fmt: skip
        meter.count("episodes", train.generations * train.population * train.episodes)
        with artifacts.publish(MODEL) as directory:
            controller.save(directory, config, vector)
        artifacts.write_csv("plots/train_controller.csv", rows)
        artifacts.write_json("metrics/train_controller.json", evolution.summary(rows))
        checkpoint.clear()


if __name__ == "__main__":
    main(run)
