"""Train the VAE on the collected frames: models/vae, its metrics, curve and picture."""

from __future__ import annotations

from pydantic import Field

from wm import compute, params, vae, vision_training
from wm.stage import main


class TrainVae(vae.VaeConfig, vision_training.VisionTraining):
    learning_rate: float = Field(gt=0)
    decay: bool
    """Let the learning rate fall to 0 by half a cosine; the paper's is constant."""


def run() -> None:
    shared, train = params.load("train_vae", TrainVae)
    device = compute.prepare(shared, shared.threads)
    config = vae.VaeConfig(**train.model_dump(include=set(vae.VaeConfig.model_fields)))
    schedule = vae.Schedule(train.learning_rate, train.steps, train.decay)
    learner = vae.VaeLearner(config, device, schedule, shared.seed)
    vision_training.train("vae", learner, config, train, shared, device)


if __name__ == "__main__":
    main(run)
