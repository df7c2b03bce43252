"""Train the MDN-RNN on the latents: models/rnn, its metrics, curve and open-loop picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from wm import artifacts, compute, episodes, figures, latents, memory, params, seeding, training
from wm import vision as eyes
from wm.latents import LatentDataset, training_batch, validation_batches
from wm.mdnrnn import MDNRNN, Batch, MdnRnnConfig, MdnRnnLearner
from wm.perf import measure
from wm.scratch import Checkpoint
from wm.stage import main

EPISODES, LATENTS, MODEL = Path("data/episodes"), Path("data/latents"), Path("models/rnn")
STRIP = 6  # frames of the picture


class TrainRnn(MdnRnnConfig):
    steps: int = Field(ge=0)
    """0: a memory that was never trained, the study's control."""
    batch_size: int = Field(ge=1)
    sequence_length: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    clip: float = Field(gt=0)
    """Of each value of the gradient."""
    validate_every: int = Field(ge=1)
    validation_batches: int = Field(ge=1)


def run() -> None:
    shared, train = params.load("train_rnn", TrainRnn)
    device = compute.prepare(shared, shared.threads)
    seen = Path("models") / shared.vision
    key = shared.model_dump(include={"seed", "threads"}) | device.names()
    with (
        Checkpoint("train_rnn", key | train.model_dump(), [EPISODES, LATENTS, seen]) as checkpoint,
        measure("train_rnn", checkpoint) as meter,
    ):
        sides = episodes.split(latents.ids_in(LATENTS, EPISODES))
        known, apart = ([latents.read(LATENTS, id_) for id_ in ids] for ids in sides)
        files = [episodes.EpisodeFile(EPISODES / episodes.file_name(id_)) for id_ in sides[1]]
        vision = eyes.load(seen, device)
        memory.check_encoded(vision, files, [*apart, *known])
        dataset, held_out = (LatentDataset(side, train.sequence_length) for side in (known, apart))
        config = MdnRnnConfig(hidden_size=train.hidden_size, mixtures=train.mixtures)
        torch.manual_seed(seeding.integer(shared.seed, "train_rnn weights"))
        model = MDNRNN(vision.latent_size, config).to(device.device)
        learner = MdnRnnLearner(model, train.learning_rate, train.clip, device.autocast())

        def batch(step: int) -> Batch:
            return training_batch(dataset, train.batch_size, shared.seed, step, device.device)

        def validate() -> dict[str, float]:
            sizes = train.validation_batches, train.batch_size
            return learner.validate(validation_batches(held_out, *sizes, device.device))

        rows = training.train(
            learner, batch, validate, steps=train.steps, validate_every=train.validate_every,
            seed=shared.seed, checkpoint=checkpoint, title="train_rnn",
        )  # fmt: skip
        meter.count("frames", train.steps * train.batch_size * train.sequence_length)
        metrics, real, dreamed = memory.open_loop(model, vision, files, apart)
        metrics = memory.likelihood(model, known, apart) | metrics
        with artifacts.publish(MODEL) as directory:
            memory.save(directory, model, config)
        artifacts.write_json("metrics/train_rnn.json", metrics)
        artifacts.write_csv("plots/train_rnn.csv", rows)
        steps = np.linspace(1, len(dreamed), STRIP).round().astype(int)
        figures.open_loop_strip(
            "plots/train_rnn_open_loop.png", real[steps], dreamed[steps - 1], steps.tolist()
        )


if __name__ == "__main__":
    main(run)
