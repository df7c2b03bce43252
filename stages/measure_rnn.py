"""Measure the MDN-RNN on held-out episodes: metrics/train_rnn.json and its open-loop picture.

The numbers are named after the stage whose model they are of. A new number or picture is made
without training anything again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wm.core import artifacts, episodes, params
from wm.memory import latents
from wm.memory.networks import trained as memory
from wm.nn import arithmetic, compute
from wm.report import figures
from wm.report.memory import likelihood, open_loop
from wm.runtime.entry import main
from wm.runtime.perf import measure
from wm.vision.networks import trained as vision

EPISODES, LATENTS, MODEL = Path("data/episodes"), Path("data/latents"), Path("models/rnn")
STRIP = 6
"""Frames of the picture."""


def run() -> None:
    shared = params.load_shared()
    prepared = compute.prepare(shared, shared.threads)
    arithmetic.compare([LATENTS, MODEL], shared)
    with measure("measure_rnn"):
        ids = latents.ids_in(LATENTS, EPISODES)
        vision_model = vision.load(Path("models") / shared.vision, prepared)
        model = memory.load(MODEL, vision_model.latent_size, prepared.device)
        training, held_out = latents.read_split(LATENTS, EPISODES, ids, vision_model)
        files = episodes.held_out_files(EPISODES, ids)
        metrics, real, dreamed = open_loop(model, vision_model, files, held_out)
        artifacts.write_json(
            "metrics/train_rnn.json", likelihood(model, training, held_out) | metrics
        )
        steps = np.linspace(1, len(dreamed), STRIP).round().astype(int)
        figures.open_loop_strip(
            "plots/train_rnn_open_loop.png", real[steps], dreamed[steps - 1], steps.tolist()
        )


if __name__ == "__main__":
    main(run)
