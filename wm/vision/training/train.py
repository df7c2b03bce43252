"""How any vision model is trained, from the collected frames to weights on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from torch import Tensor

from wm.core import artifacts, episodes, params, seeding
from wm.core.params import SharedParams
from wm.nn import arithmetic
from wm.nn.compute import Compute
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.perf import measure
from wm.runtime.torch_serializer import TorchSerializer
from wm.training import loop
from wm.vision.metrics.held_out import HeldOutFrames
from wm.vision.networks import trained
from wm.vision.networks.pixels import to_float
from wm.vision.networks.registry import VisionConfig
from wm.vision.networks.trained import Autoencoder, Vision
from wm.vision.training.settings import TrainingSettings

EPISODES = Path("data/episodes")


class VisionLearner(loop.Learner[Tensor], Protocol):
    """Learns from x, float32 (N, 3, 64, 64) in [0, 1] on the compute's device."""

    model: Autoencoder
    """What is saved; a subclass may have further networks that only training needs."""

    @property
    def config(self) -> VisionConfig:
        """The Config that rebuilds the model; it is saved beside the weights."""

    def summary(self) -> dict[str, float]:
        """Returns numbers of the training that stand beside the held-out ones; none, perhaps."""


class TrainingFrames:
    """The frames of the episodes that are not held out, in batches."""

    def __init__(self, directory: Path | str, seed: int, stage: str, compute: Compute) -> None:
        """Reads the episodes in `directory`; which frames a batch holds is drawn from (seed,
        stage)."""
        ids, _ = episodes.split(episodes.ids_in(directory))
        self._frames = episodes.FrameSet(directory, ids)
        self._seed, self._stage, self._device = seed, stage, compute.device

    def batch(self, step: int, size: int) -> Tensor:
        """Returns x, float32 (size, 3, 64, 64), drawn uniformly: a pure function of `step`."""
        generator = seeding.generator(self._seed, self._stage, "batch", step)
        chosen = generator.integers(len(self._frames), size=size)
        return to_float(self._frames[chosen], self._device)


def train(
    name: str,
    learner: VisionLearner,
    settings: TrainingSettings,
    shared: SharedParams,
    compute: Compute,
) -> None:
    """Trains the vision model `name`, resuming where an interrupted run of the same settings
    stopped, and writes models/<name>, metrics/train_<name>.json and plots/train_<name>.csv.

    `settings` are all of the stage's. Raises UserError when a number is not finite.
    """
    stage = f"train_{name}"
    key = params.key(shared, settings, "threads")
    with (
        Checkpoint(stage, key, [EPISODES], TorchSerializer()) as checkpoint,
        measure(stage, checkpoint.elapsed) as meter,
    ):
        frames = TrainingFrames(EPISODES, shared.seed, stage, compute)
        held_out = HeldOutFrames(EPISODES, settings.held_out_frames)
        latent_size = learner.config.latent_size
        rows = loop.train(
            learner,
            lambda step: frames.batch(step, settings.batch_size),
            lambda: held_out.measure(Vision(learner.model, latent_size, compute)),
            steps=settings.steps,
            validate_every=settings.validate_every,
            seed=shared.seed,
            checkpoint=checkpoint,
            stage=stage,
        )
        meter.count("frames", settings.steps * settings.batch_size)
        with artifacts.publish(Path("models") / name) as directory:
            trained.save(directory, name, learner.model, learner.config.model_dump())
            arithmetic.record(directory, shared)
        last = {
            name.removeprefix(loop.HELD_OUT): value
            for name, value in rows[-1].items()
            if name.startswith(loop.HELD_OUT)
        }
        artifacts.write_json(f"metrics/{stage}.json", last | learner.summary())
        artifacts.write_csv(f"plots/{stage}.csv", rows)
