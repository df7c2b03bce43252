"""Film the median evaluation episode beside a dream: videos/evaluate.mp4, plots/evaluate.gif.

A new picture is made without driving anything again.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from wm.control.policy import controller
from wm.core import episodes, params
from wm.core.errors import UserError
from wm.dream.imagination import episode_and_dream
from wm.memory.networks import trained as memory
from wm.nn import arithmetic, compute
from wm.report import figures
from wm.runtime.entry import main
from wm.runtime.perf import measure
from wm.vision.networks import trained as vision

CONTROLLER, MEMORY, EVALUATION = (
    Path("models/controller"),
    Path("models/rnn"),
    Path("data/evaluation"),
)


class Film(params.Params):
    """The parameters of the stage film."""

    temperature: float = Field(ge=0.01)
    """The temperature of the dream; 1 is the memory's own."""


def run() -> None:
    shared, film = params.load("film", Film)
    prepared = compute.prepare(shared, threads=1)
    vision_folder = Path("models") / shared.vision
    arithmetic.compare([vision_folder, MEMORY, CONTROLLER], shared)
    with measure("film"):
        vision_model = vision.load(vision_folder, prepared)
        model = memory.load(MEMORY, vision_model.latent_size, prepared.device)
        config, vector = controller.load(CONTROLLER, vision_model.latent_size, model.hidden_size)
        if not (ids := episodes.ids_in(EVALUATION)):
            raise UserError(f"{EVALUATION}: no episode in it; run evaluate")
        path = EVALUATION / episodes.file_name(ids[0])
        episode = episodes.EpisodeFile(path, "run evaluate again").read()
        real, dreamed = episode_and_dream(
            episode, vision_model, model, config, vector, film.temperature
        )
        figures.video("videos/evaluate.mp4", real, dreamed)
        figures.gif("plots/evaluate.gif", real, dreamed)


if __name__ == "__main__":
    main(run)
