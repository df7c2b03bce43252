"""Evolve the controller on the fast renderer: models/controller, its metrics and curve."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from wm import artifacts, compute, controller, evolution, memory, params, vision
from wm.controller import ControllerConfig
from wm.evolution import Phase
from wm.executor import hire
from wm.perf import measure
from wm.scratch import Checkpoint
from wm.stage import main
from wm.workers import Fleet, models


class TrainController(ControllerConfig):
    population: int = Field(ge=4)
    episodes: int = Field(ge=1)
    """A candidate's, on tracks that all candidates of a generation share; new ones for the next."""
    z_generations: int = Field(ge=0)
    """First, with any weights of h held at 0; then `generations` of all, or of the same for z."""
    z_sigma: float = Field(gt=0)
    generations: int = Field(ge=1)
    sigma: float = Field(gt=0)
    start_bias: tuple[float, float, float]
    """Of the first mean for steering, gas and brake, before tanh; its weights are 0."""
    weight_decay: float = Field(ge=0)
    max_steps: int = Field(ge=1)
    patience: int | None = Field(ge=1)
    """Steps without a new tile that end an episode (null: none do)."""
    shard_candidates: int = Field(ge=1)
    """That a worker drives in lockstep; part of the result's last bits."""
    validate_every: int = Field(ge=1)
    validation_episodes: int = Field(ge=1)
    """Of the mean, always on the same tracks, none of them evaluate's."""


def run() -> None:
    shared, train = params.load("train_controller", TrainController)
    config = ControllerConfig(**train.model_dump(include=set(ControllerConfig.model_fields)))
    where = models(shared, config, "fast")
    latent_size = vision.read_config(where.vision).latent_size
    hidden_size = memory.read_config(where.memory, latent_size).hidden_size if where.memory else 0
    on_z = ~controller.reads_memory(config, latent_size, hidden_size)
    phases = [Phase(train.z_generations, train.z_sigma, on_z),
              Phase(train.generations, train.sigma, np.ones_like(on_z))]  # fmt: skip
    if on_z.all():
        phases = [Phase(train.z_generations + train.generations, train.z_sigma, on_z)]
    key = (
        shared.model_dump(include={"seed"})
        | compute.prepare(shared, threads=1).names()
        | train.model_dump()
    )
    with (
        Checkpoint("train_controller", key, where.directories) as checkpoint,
        measure("train_controller", checkpoint) as meter,
        hire(shared, where.cockpit) as workers,
    ):
        fleet = Fleet(
            workers, config, shared.seed, train.episodes, train.shard_candidates,
            train.max_steps, train.patience,
        )  # fmt: skip
        vector, rows = evolution.evolve(
            fleet.fitness,
            lambda vector: fleet.validation(vector, train.validation_episodes),
            start=controller.biased(train.start_bias, len(on_z)), phases=phases,
            population=train.population, validate_every=train.validate_every, seed=shared.seed,
            weight_decay=train.weight_decay, checkpoint=checkpoint, title="train_controller",
        )  # fmt: skip
        meter.count("episodes", len(rows) * train.population * train.episodes)
        with artifacts.publish("models/controller") as directory:
            controller.save(directory, config, vector)
        artifacts.write_csv("plots/train_controller.csv", rows)
        artifacts.write_json("metrics/train_controller.json", evolution.summary(rows))


if __name__ == "__main__":
    main(run)
