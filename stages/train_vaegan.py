"""Train the VAE-GAN on the collected frames: models/vaegan, its metrics, curve and picture."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from wm import adversarial, artifacts, compute, figures, params, training, vaegan, vision, weights
from wm.perf import measure
from wm.scratch import Checkpoint
from wm.stage import main
from wm.vision_data import VisionData

EPISODES = Path("data/episodes")
MODEL = Path("models/vaegan")


class TrainVaegan(vaegan.VaeganConfig):
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    warmup: int = Field(ge=0)
    """Steps of squared error and KL alone, before the discriminator sets in."""
    validate_every: int = Field(ge=1)
    held_out_frames: int = Field(ge=1)
    """At most; evenly spaced over the held-out episodes."""


def run() -> None:
    shared, train = params.load("train_vaegan", TrainVaegan)
    device = compute.prepare(shared, shared.threads)
    key = {"seed": shared.seed, "threads": shared.threads, "dtype": str(device.dtype)}
    with (
        Checkpoint("train_vaegan", key | train.model_dump(), [EPISODES]) as checkpoint,
        measure("train_vaegan", checkpoint) as meter,
    ):
        data = VisionData(EPISODES, train.held_out_frames, shared.seed, device)
        config = vaegan.VaeganConfig(
            **{name: getattr(train, name) for name in vaegan.VaeganConfig.model_fields}
        )
        recipe = adversarial.RECIPES[config.recipe]
        learner = adversarial.VaeganLearner(
            config, device, recipe, steps=train.steps, warmup=train.warmup, seed=shared.seed
        )

        def trained() -> vision.Vision:
            return vision.Vision(
                learner.model.encoder, learner.model.decoder, config.latent_size, device
            )

        rows = training.train(
            learner,
            lambda step: data.batch(step, train.batch_size),
            lambda: data.measure(trained()),
            steps=train.steps,
            validate_every=train.validate_every,
            seed=shared.seed,
            checkpoint=checkpoint,
            title="train_vaegan",
        )
        meter.count("frames", train.steps * train.batch_size)
        with artifacts.publish(MODEL) as directory:
            weights.save(directory, learner.model, {"kind": "vaegan", **config.model_dump()})
        artifacts.write_json("metrics/train_vaegan.json", data.measure(trained()))
        artifacts.write_csv("plots/train_vaegan.csv", rows)
        figures.reconstructions(
            "plots/train_vaegan_reconstructions.png", data.held_out, data.reconstruct(trained())
        )
        checkpoint.clear()


if __name__ == "__main__":
    main(run)
