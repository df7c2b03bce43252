"""Encode every frame with the vision model that params.vision names: data/latents."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from wm.core import artifacts, episodes, params
from wm.memory import latents
from wm.nn import arithmetic, compute
from wm.report import figures
from wm.report.probe import probe_latents
from wm.runtime.entry import main
from wm.runtime.perf import measure
from wm.runtime.progress import Progress
from wm.vision.metrics.held_out import HeldOutFrames
from wm.vision.networks import trained

EPISODES, LATENTS = Path("data/episodes"), Path("data/latents")


class Encode(params.Params):
    """The parameters of the stage encode."""

    batch_size: int = Field(ge=1)
    """Frames encoded at a time; part of the result's last bits."""
    held_out_frames: int = Field(ge=1)
    """The most frames that are reconstructed and measured, evenly spaced over the held-out ones."""


def run() -> None:
    shared, encode = params.load("encode", Encode)
    prepared = compute.prepare(shared, shared.threads)
    folder = Path("models") / shared.vision
    vision = trained.load(folder, prepared)
    arithmetic.compare([folder], shared)
    ids = episodes.ids_in(EPISODES)
    means, telemetry = {}, {}
    with measure("encode") as meter:
        held_out = HeldOutFrames(EPISODES, encode.held_out_frames)
        with (
            artifacts.publish(LATENTS) as directory,
            Progress("encode", len(ids), "episodes") as progress,
        ):
            for id_ in ids:
                file = episodes.EpisodeFile(EPISODES / episodes.file_name(id_))
                content = latents.encode(file, vision, encode.batch_size)
                latents.write(directory, id_, content)
                means[id_], telemetry[id_] = content.mu, file.telemetry
                meter.count("frames", len(file))
                progress.advance()
            arithmetic.record(directory, shared)
        reconstructed, metrics = held_out.reconstruct(vision)
        artifacts.write_json("metrics/encode.json", metrics | probe_latents(means, telemetry))
        figures.reconstructions("plots/encode_reconstructions.png", held_out.frames, reconstructed)


if __name__ == "__main__":
    main(run)
