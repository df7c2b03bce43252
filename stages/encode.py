"""Encode every frame with the vision model that params.vision names: data/latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from wm import artifacts, compute, episodes, figures, latents, params, vision, vision_metrics
from wm.car_racing import TELEMETRY, on_road
from wm.latents import LatentEpisode
from wm.perf import measure
from wm.progress import Progress
from wm.stage import main
from wm.vision_data import VisionData

EPISODES, LATENTS = Path("data/episodes"), Path("data/latents")


class Encode(params.Params):
    batch_size: int = Field(ge=1)
    held_out_frames: int = Field(ge=1)
    """At most, for the reconstruction metrics; evenly spaced over the held-out episodes."""


def probe(encoded: dict[int, np.ndarray], telemetry: dict[int, np.ndarray]) -> dict[str, float]:
    """What a linear map reads out of the held-out episodes' mean latents while the car drives on
    the road and along it: elsewhere, offset and heading are not to be seen in a frame."""
    driving = {
        id_: on_road(values) & (np.abs(values[:, TELEMETRY.index("heading_error")]) < np.pi / 2)
        for id_, values in telemetry.items()
    }
    (z_train, y_train), (z_test, y_test) = (
        [
            np.concatenate([source[id_][driving[id_]] for id_ in ids])
            for source in (encoded, telemetry)
        ]
        for ids in episodes.split(list(encoded))
    )
    return vision_metrics.probe(z_train, y_train, z_test, y_test, TELEMETRY)


def run() -> None:
    shared, encode = params.load("encode", Encode)
    device = compute.prepare(shared, shared.threads)
    eyes = vision.load(Path("models") / shared.vision, device)
    ids = episodes.ids_in(EPISODES)
    encoded, telemetry = {}, {}
    with measure("encode") as meter, artifacts.publish(LATENTS) as directory:
        data = VisionData(EPISODES, encode.held_out_frames, shared.seed, device)
        with Progress("encode", len(ids), "episodes") as progress:
            for id_ in ids:
                file = episodes.EpisodeFile(EPISODES / episodes.file_name(id_))
                batches = np.split(
                    np.arange(len(file)), range(encode.batch_size, len(file), encode.batch_size)
                )
                codes = [eyes.encode(file.frames(batch)) for batch in batches]
                mu, logvar = (
                    np.concatenate([part.cpu().numpy() for part in side])
                    for side in zip(*codes, strict=True)
                )
                content = LatentEpisode(mu, logvar, file.actions, file.rewards, file.terminated)
                latents.write(directory, id_, content)
                encoded[id_], telemetry[id_] = mu, file.telemetry
                meter.count("frames", len(file))
                progress.advance()
        metrics = data.measure(eyes) | probe(encoded, telemetry)
        pictures = data.reconstruct(eyes)
    artifacts.write_json("metrics/encode.json", metrics)
    figures.reconstructions("plots/encode_reconstructions.png", data.held_out, pictures)


if __name__ == "__main__":
    main(run)
