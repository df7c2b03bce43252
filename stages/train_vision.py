"""Train a vision model on the collected frames: models/<name>, its metrics and curve.

python -m stages.train_vision [NAME]: by default the model that `vision` in params.yaml names.
"""

from __future__ import annotations

import sys
from functools import partial

from wm.core import params, seeding
from wm.nn import compute
from wm.runtime.entry import main
from wm.vision.networks import registry
from wm.vision.training.train import train


def run(name: str | None = None) -> None:
    """Trains the vision model `name`, a package in wm/vision/models."""
    name = name or params.load_shared().vision
    model = registry.find(name, "learner")
    shared, settings = params.load(f"train_{name}", model.Settings)
    prepared = compute.prepare(shared, shared.threads)
    seed = seeding.integer(shared.seed, f"train_{name}", "weights")
    learner = model.create_learner(settings, prepared, seed)
    train(name, learner, settings, shared, prepared)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit("error: python -m stages.train_vision [NAME]: one model at a time")
    main(partial(run, *sys.argv[1:]))
