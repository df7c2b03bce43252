"""Train the VAE-GAN on the collected frames: models/vaegan, its metrics, curve and picture."""

from __future__ import annotations

from pydantic import Field

from wm import adversarial, compute, params, vaegan, vision_training
from wm.stage import main


class TrainVaegan(vaegan.VaeganConfig, vision_training.VisionTraining):
    warmup: int = Field(ge=0)
    """Steps of squared error and KL alone, before the discriminator sets in."""


def run() -> None:
    shared, train = params.load("train_vaegan", TrainVaegan)
    device = compute.prepare(shared, shared.threads)
    config = vaegan.VaeganConfig(**train.model_dump(include=set(vaegan.VaeganConfig.model_fields)))
    recipe = adversarial.RECIPES[config.recipe]
    learner = adversarial.VaeganLearner(
        config, device, recipe, steps=train.steps, warmup=train.warmup, seed=shared.seed
    )
    vision_training.train("vaegan", learner, config, train, shared, device)


if __name__ == "__main__":
    main(run)
