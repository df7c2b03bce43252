"""How either vision model is trained, from the collected frames to models/<kind>."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field
from torch import Tensor

from wm import artifacts, figures, training, vae, vaegan, weights
from wm.compute import Compute
from wm.params import Params, Run
from wm.perf import measure
from wm.scratch import Checkpoint
from wm.vision import Vision
from wm.vision_data import VisionData

EPISODES = Path("data/episodes")


class VisionTraining(Params):
    """What both trainings have in common."""

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    validate_every: int = Field(ge=1)
    held_out_frames: int = Field(ge=1)
    """At most; evenly spaced over the held-out episodes."""


class VisionLearner(training.Learner[Tensor], Protocol):
    """Learns from x (N, 3, 64, 64) float32 in [0, 1]."""

    model: Any
    """An nn.Module whose `encoder` and `decoder` make a Vision."""


def train(
    kind: Literal["vae", "vaegan"],
    learner: VisionLearner,
    config: vae.VaeConfig | vaegan.VaeganConfig,
    settings: VisionTraining,
    run: Run,
    compute: Compute,
) -> None:
    """Trains `learner`, resuming where an interrupted run of the same settings stopped, and writes
    models/<kind>, metrics/train_<kind>.json and the curve and picture plots/train_<kind>*.

    `config` is the model's, saved with it; `settings` are all of the stage's.
    """
    stage = f"train_{kind}"
    key = run.model_dump(include={"seed", "threads"}) | compute.names()
    with (
        Checkpoint(stage, key | settings.model_dump(), [EPISODES]) as checkpoint,
        measure(stage, checkpoint) as meter,
    ):
        data = VisionData(EPISODES, settings.held_out_frames, run.seed, compute)

        def trained() -> Vision:
            model = learner.model
            return Vision(model.encoder, model.decoder, config.latent_size, compute)

        rows = training.train(
            learner,
            lambda step: data.batch(step, settings.batch_size),
            lambda: data.measure(trained()),
            steps=settings.steps,
            validate_every=settings.validate_every,
            seed=run.seed,
            checkpoint=checkpoint,
            title=stage,
        )
        meter.count("frames", settings.steps * settings.batch_size)
        with artifacts.publish(Path("models") / kind) as directory:
            weights.save(directory, learner.model, {"kind": kind, **config.model_dump()})
        artifacts.write_json(f"metrics/{stage}.json", data.measure(trained()))
        artifacts.write_csv(f"plots/{stage}.csv", rows)
        figures.reconstructions(
            f"plots/{stage}_reconstructions.png", data.held_out, data.reconstruct(trained())
        )
