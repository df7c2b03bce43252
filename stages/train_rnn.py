"""Train the MDN-RNN on the latents: models/rnn and its curve."""

from __future__ import annotations

from pathlib import Path

from wm.core import artifacts, params, seeding
from wm.memory import latents
from wm.memory.networks import trained as memory
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.memory.training.learner import MdnRnnLearner
from wm.memory.training.settings import TrainRnn
from wm.memory.training.windows import (
    Batch,
    LatentDataset,
    training_batch,
    validation_batches,
)
from wm.nn import arithmetic, compute
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.perf import measure
from wm.runtime.torch_serializer import TorchSerializer
from wm.training import loop
from wm.vision.networks import trained as vision

EPISODES, LATENTS, MODEL = Path("data/episodes"), Path("data/latents"), Path("models/rnn")


def run() -> None:
    shared, train = params.load("train_rnn", TrainRnn)
    prepared = compute.prepare(shared, shared.threads)
    device, vision_folder = prepared.device, Path("models") / shared.vision
    key = params.key(shared, train, "threads")
    inputs = [EPISODES, LATENTS, vision_folder]
    arithmetic.compare([LATENTS], shared)
    with (
        Checkpoint("train_rnn", key, inputs, TorchSerializer()) as checkpoint,
        measure("train_rnn", checkpoint.elapsed) as meter,
    ):
        ids = latents.ids_in(LATENTS, EPISODES)
        vision_model = vision.load(vision_folder, prepared)
        windows, held_out_windows = (
            LatentDataset(side, train.sequence_length)
            for side in latents.read_split(LATENTS, EPISODES, ids, vision_model)
        )
        config = MdnRnnConfig(hidden_size=train.hidden_size, mixtures=train.mixtures)
        with compute.seeded(seeding.integer(shared.seed, "train_rnn", "weights")):
            model = MDNRNN(vision_model.latent_size, config).to(device)
        learner = MdnRnnLearner(model, train.learning_rate, train.clip, prepared.autocast())

        def batch(step: int) -> Batch:
            return training_batch(windows, train.batch_size, shared.seed, step, device)

        def validate() -> dict[str, float]:
            sizes = train.validation_batches, train.batch_size
            return learner.validate(validation_batches(held_out_windows, *sizes, device))

        rows = loop.train(
            learner, batch, validate, steps=train.steps, validate_every=train.validate_every,
            seed=shared.seed, checkpoint=checkpoint, stage="train_rnn",
        )  # fmt: skip
        meter.count("windows", train.steps * train.batch_size)
        with artifacts.publish(MODEL) as directory:
            memory.save(directory, model, config)
            arithmetic.record(directory, shared)
        artifacts.write_csv("plots/train_rnn.csv", rows)


if __name__ == "__main__":
    main(run)
