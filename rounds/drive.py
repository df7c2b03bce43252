"""Drive a round's candidates on the same tracks and keep the best: data/rounds/<round>.

What they drove, frames and latents, is what the next round learns from. The vision model has seen
none of it and does not learn on: how well it reconstructs what the best one saw is measured. The
best one's numbers are of the tracks that it was chosen on, and so somewhat too high; the stage
evaluate drives others.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from pydantic import Field

from rounds import agents, settings
from rounds.folders import of_command_line
from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import RolloutTask
from wm.core import artifacts, episodes, params, seeding
from wm.core.car_racing import MAX_EPISODE_STEPS
from wm.core.errors import UserError
from wm.core.params import Params
from wm.core.shards import shards
from wm.env.fast import environment
from wm.memory import latents
from wm.nn import arithmetic, compute
from wm.report.statistics import summary_of_episodes
from wm.runtime.entry import main
from wm.vision.metrics.reconstruction import reconstruction
from wm.vision.networks import trained as vision
from wm.vision.networks.trained import Vision


class Drive(Params):
    """The parameters of drive."""

    episodes: int = Field(ge=2)
    """Episodes of a round. Its candidates share them equally, each on the same tracks."""
    max_steps: int = Field(ge=1, le=MAX_EPISODE_STEPS)
    """The number of steps after which an episode is truncated."""
    patience: int | None = Field(ge=1)
    """Steps without a new tile that end an episode (null: none do)."""
    shard_episodes: int = Field(ge=1)
    """Episodes that a worker drives in lockstep, of as many candidates as there is room for; part
    of the result's last bits."""
    encode_batch_size: int = Field(ge=1)
    """Frames encoded at a time; part of the result's last bits."""
    measured_frames: int = Field(ge=1)
    """The most frames of the best candidate's drives that are reconstructed and measured, evenly
    spaced."""


def run() -> None:
    this = of_command_line()
    shared, drive = params.load_shared(), settings.load("drive", Drive)
    prepared = compute.prepare(shared, threads=1)
    candidates = sorted(this.candidates.glob("[0-9]*"), key=lambda path: int(path.name))
    if not candidates:
        raise UserError(f"{this.candidates}: no candidates; make rounds runs what finds them")
    spec = agents.spec_of(shared, this.candidates / "memory", environment.make)
    config = controller.read_config(candidates[0])
    vectors = np.stack([controller.load(path, *spec.sizes())[1] for path in candidates])
    arithmetic.compare([*spec.directories, *candidates], shared)
    size = drive.episodes // len(candidates)
    if size < 2:
        raise UserError(
            f"{settings.PATH}: drive.episodes: {drive.episodes} for {len(candidates)} candidates; "
            f"at least {2 * len(candidates)} give each two tracks"
        )
    with artifacts.publish(this.drives) as directory:
        driven, recorded, encoded = (directory / n for n in ("driven", "episodes", "latents"))
        for folder in (driven, recorded, encoded):
            folder.mkdir()
        tasks = _tasks(config, vectors, size, drive, shared.seed, this.number, driven)
        rows = agents.drive(spec, tasks, "drive")
        for id_ in range(len(rows)):  # and nothing that a worker which died has left there
            artifacts.link(driven / episodes.file_name(id_), recorded / episodes.file_name(id_))
        shutil.rmtree(driven, ignore_errors=True)
        model = vision.load(Path("models") / shared.vision, prepared)
        for id_ in episodes.ids_in(recorded):
            file = episodes.EpisodeFile(recorded / episodes.file_name(id_))
            latents.write(encoded, id_, latents.encode(file, model, drive.encode_batch_size))
        arithmetic.record(encoded, shared)
        of_each = [rows[i * size : (i + 1) * size] for i in range(len(candidates))]
        means = [float(np.mean([row["return"] for row in part])) for part in of_each]
        best = int(np.argmax(means))
        shutil.copytree(candidates[best], directory / "agent" / "controller")
        shutil.copytree(this.candidates / "memory", directory / "agent" / "memory")
        seen = episodes.FrameSet(recorded, range(best * size, (best + 1) * size))
        measured = _reconstructed(model, seen, drive)
        summary = {"best": best, "means": means, **summary_of_episodes(of_each[best])}
        artifacts.write_json(this.metrics("drive"), {**summary, "vision": measured})


def _tasks(
    config: ControllerConfig, vectors: np.ndarray, size: int, drive: Drive, seed: int, round_: int,
    recorded: Path,
) -> list[RolloutTask]:  # fmt: skip
    """Returns tasks in which the candidates, float (C, P), drive the round's `size` tracks, and are
    recorded there: the episodes of candidate c have the ids from c * size on."""
    tracks = [seeding.integer(seed, "rounds", "track", round_, i) for i in range(size)]
    together = max(1, drive.shard_episodes // size)  # candidates of a task
    return [
        RolloutTask(
            config, vectors[group[0] : group[-1] + 1], [tracks[i] for i in shard],
            seeding.integer(seed, "rounds", "noise", round_, group[0], shard[0]),
            drive.max_steps, drive.patience, record_to=recorded,
            first_id=group[0] * size + shard[0],
        )
        for group in shards(range(len(vectors)), together)
        for shard in shards(range(size), drive.shard_episodes)
    ]  # fmt: skip


def _reconstructed(model: Vision, seen: episodes.FrameSet, drive: Drive) -> dict[str, float]:
    """Returns how well the vision model reconstructs some of the frames, evenly spaced."""
    chosen = np.linspace(0, len(seen) - 1, min(drive.measured_frames, len(seen)))
    frames = seen[chosen.round().astype(np.int64)]
    parts = shards(frames, drive.encode_batch_size)
    decoded = [model.decode(model.encode(part)[0]) for part in parts]
    return reconstruction(frames, np.concatenate(decoded))


if __name__ == "__main__":
    main(run)
