"""Train the VAE on the collected frames: models/vae, its metrics, curve and picture."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from wm import artifacts, compute, figures, params, training, vae, vision, weights
from wm.perf import measure
from wm.scratch import Checkpoint
from wm.stage import main
from wm.vision_data import VisionData

EPISODES = Path("data/episodes")
MODEL = Path("models/vae")


class TrainVae(vae.VaeConfig):
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    decay: bool
    """Let the learning rate fall to 0 by half a cosine; the paper's is constant."""
    validate_every: int = Field(ge=1)
    held_out_frames: int = Field(ge=1)
    """At most; evenly spaced over the held-out episodes."""


def run() -> None:
    shared, train = params.load("train_vae", TrainVae)
    device = compute.prepare(shared, shared.threads)
    key = {"seed": shared.seed, "threads": shared.threads, "dtype": str(device.dtype)}
    with (
        Checkpoint("train_vae", key | train.model_dump(), [EPISODES]) as checkpoint,
        measure("train_vae", checkpoint) as meter,
    ):
        data = VisionData(EPISODES, train.held_out_frames, shared.seed, device)
        config = vae.VaeConfig(
            **{name: getattr(train, name) for name in vae.VaeConfig.model_fields}
        )
        schedule = vae.Schedule(train.learning_rate, train.steps, train.decay)
        learner = vae.VaeLearner(config, device, schedule, shared.seed)

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
            title="train_vae",
        )
        meter.count("frames", train.steps * train.batch_size)
        with artifacts.publish(MODEL) as directory:
            weights.save(directory, learner.model, {"kind": "vae", **config.model_dump()})
        artifacts.write_json("metrics/train_vae.json", data.measure(trained()))
        artifacts.write_csv("plots/train_vae.csv", rows)
        figures.reconstructions(
            "plots/train_vae_reconstructions.png", data.held_out, data.reconstruct(trained())
        )
        checkpoint.clear()


if __name__ == "__main__":
    main(run)
