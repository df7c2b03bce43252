"""Train the memory of the round before on, with the rounds' drives: models/rounds/<round>/rnn."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field

from rounds import settings
from rounds.folders import Round, of_command_line
from wm.core import artifacts, episodes, params, seeding
from wm.memory import latents
from wm.memory.networks import trained as memory
from wm.memory.training.learner import MdnRnnLearner
from wm.memory.training.settings import Training
from wm.memory.training.windows import Batch, LatentDataset, validation_batches
from wm.nn import arithmetic, compute
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.torch_serializer import TorchSerializer
from wm.training import loop
from wm.vision.networks import trained as vision

LATENTS = Path("data/latents")


class TrainRnn(Training):
    """The parameters of train_rnn: as the pipeline's, and one more."""

    steps: int = Field(ge=1)
    """Optimisation steps of a round."""
    drives_share: float = Field(gt=0, lt=1)
    """The share of a batch's windows that are of the rounds' drives; the others are of the
    collected episodes."""


def run() -> None:
    this = of_command_line()
    shared, train = params.load_shared(), settings.load("train_rnn", TrainRnn)
    prepared = compute.prepare(shared, shared.threads)
    before = this.before().dreamer
    rounds = [Round(number) for number in range(this.number)]
    drives = [folder for each in rounds for folder in (each.trials, each.of_best)]
    inputs = [before, LATENTS, *drives]
    arithmetic.compare(inputs, shared)
    key = params.key(shared, train, "threads")
    with Checkpoint(f"round_{this.number}_train_rnn", key, inputs, TorchSerializer()) as checkpoint:
        training, held_out = (
            [latents.read(LATENTS, id_) for id_ in ids]
            for ids in episodes.split(episodes.ids_in(LATENTS), LATENTS)
        )
        driven = [latents.read(folder, id_) for folder in drives for id_ in episodes.ids_in(folder)]
        longest = max(len(episode.actions) for episode in (*training, *driven))
        collected_windows, driven_windows = (
            LatentDataset(of, train.sequence_length, longest) for of in (training, driven)
        )
        held_out_windows = LatentDataset(held_out, train.sequence_length)
        size = vision.read_config(Path("models") / shared.vision).latent_size
        config = memory.read_config(before, size)
        model = memory.load(before, size, prepared.device).requires_grad_(True)
        learner = MdnRnnLearner(model, train.learning_rate, train.clip, prepared.autocast())
        of_drives = max(1, round(train.drives_share * train.batch_size))

        def batch(step: int) -> Batch:
            generator = seeding.generator(shared.seed, "rounds", "batch", this.number, step)
            parts = [
                windows.windows(generator.integers(len(windows), size=count), prepared.device)
                for windows, count in (
                    (driven_windows, of_drives),
                    (collected_windows, train.batch_size - of_drives),
                )
            ]
            return Batch(*(torch.cat(side) for side in zip(*parts, strict=True)))

        def validate() -> dict[str, float]:
            sizes = train.validation_batches, train.batch_size
            return learner.validate(validation_batches(held_out_windows, *sizes, prepared.device))

        rows = loop.train(
            learner, batch, validate, steps=train.steps, validate_every=train.validate_every,
            seed=seeding.integer(shared.seed, "rounds", "train_rnn", this.number),
            checkpoint=checkpoint, stage="train_rnn",
        )  # fmt: skip
        with artifacts.publish(this.dreamer) as directory:
            memory.save(directory, model.eval(), config)
            arithmetic.record(directory, shared)
        artifacts.write_json(this.metrics("train_rnn"), rows[-1])


if __name__ == "__main__":
    main(run)
