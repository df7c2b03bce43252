"""Drive a round's candidates on the same tracks and keep the best: data/rounds/<round>.

The best one then drives other tracks, and the numbers are of these. The latents of all drives are
what the memories of later rounds learn from, and where the next round's dreams begin (of round 0:
the best one's alone). The vision model has seen none of the frames and does not learn on: how well
it reconstructs what the best one saw is measured.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from rounds import agents, settings
from rounds.folders import of_command_line
from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import RolloutTask, RolloutWorker
from wm.core import artifacts, episodes, params, seeding
from wm.core.car_racing import MAX_EPISODE_STEPS
from wm.core.errors import UserError
from wm.core.params import Params
from wm.core.shards import shards
from wm.env.fast import environment
from wm.memory import latents
from wm.memory.latents import LatentEpisode
from wm.nn import arithmetic, compute
from wm.report.statistics import summary_of_episodes
from wm.runtime.entry import main
from wm.runtime.executor import Executor, create_executor
from wm.runtime.progress import Progress
from wm.vision.metrics.reconstruction import reconstruction
from wm.vision.networks import trained as vision
from wm.vision.networks.trained import Vision


class Drive(Params):
    """The parameters of drive."""

    trial_tracks: int = Field(ge=2)
    """Tracks that every candidate drives, the same for all."""
    best_tracks: int = Field(ge=2)
    """Other tracks, which the best of them drives. Its numbers are of these: the choice has not
    flattered them."""
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
    spec = agents.spec_of(shared, environment.make)
    config = controller.read_config(candidates[0])
    vectors = np.stack([controller.load(path, *spec.sizes())[1] for path in candidates])
    arithmetic.compare([*spec.directories, *candidates], shared)
    model = vision.load(spec.vision, prepared)

    with (
        artifacts.publish(this.drives) as directory,
        create_executor(shared, spec.create_worker) as executor,
    ):

        def recorded(name: str, driving: np.ndarray, count: int) -> list[dict[str, Any]]:
            (folder := directory / name).mkdir()
            (folder / "driven").mkdir()
            tasks = _tasks(config, driving, count, drive, shared.seed, this.number, folder)
            rows = agents.drive(executor, tasks, f"drive ({name})")
            _keep(executor, folder, len(rows), drive.encode_batch_size)
            arithmetic.record(folder / "latents", shared)
            return rows

        returns = [row["return"] for row in recorded("trials", vectors, drive.trial_tracks)]
        shutil.rmtree(directory / "trials" / "episodes")  # nothing reads so many frames again
        means = np.reshape(returns, (len(candidates), -1)).mean(axis=1)
        best = int(means.argmax())
        shutil.copytree(candidates[best], directory / "controller")
        rows = recorded("best", vectors[[best]], drive.best_tracks)
        measured = _reconstructed(
            model, episodes.FrameSet(directory / "best" / "episodes", range(len(rows))), drive
        )
        summary = {"best": best, "trial_means": means.tolist(), **summary_of_episodes(rows)}
        artifacts.write_json(this.metrics("drive"), {**summary, "vision": measured})


def _tasks(
    config: ControllerConfig, vectors: np.ndarray, count: int, drive: Drive, seed: int, round_: int,
    directory: Path,
) -> list[RolloutTask]:  # fmt: skip
    """Returns tasks in which the controllers, float (C, P), drive `count` tracks, which follow from
    the directory's name, and are recorded in its `driven`: the episodes of controller c have the
    ids from c * count on."""
    what = directory.name
    tracks = [seeding.integer(seed, "rounds", f"{what} track", round_, i) for i in range(count)]
    together = max(1, drive.shard_episodes // count)  # controllers of a task
    return [
        RolloutTask(
            config, vectors[group[0] : group[-1] + 1], [tracks[i] for i in shard],
            seeding.integer(seed, "rounds", f"{what} noise", round_, group[0], shard[0]),
            drive.max_steps, drive.patience, record_to=directory / "driven",
            first_id=group[0] * count + shard[0],
        )
        for group in shards(range(len(vectors)), together)
        for shard in shards(range(count), drive.shard_episodes)
    ]  # fmt: skip


def _keep(executor: Executor[RolloutWorker], directory: Path, count: int, batch_size: int) -> None:
    """Makes `episodes` and `latents` of the `count` recordings in a directory's `driven`, and of
    nothing that a worker which died has left there."""
    kept, encoded = directory / "episodes", directory / "latents"
    kept.mkdir()
    encoded.mkdir()
    files = [kept / episodes.file_name(id_) for id_ in range(count)]
    for file in files:
        artifacts.link(directory / "driven" / file.name, file)
    shutil.rmtree(directory / "driven", ignore_errors=True)
    with Progress(f"encode ({directory.name})", count, "episodes") as progress:
        tasks = [(file, batch_size) for file in files]
        for id_, content in enumerate(executor.map(_encode, tasks)):
            latents.write(encoded, id_, content)
            progress.advance(1)


def _encode(worker: RolloutWorker, task: tuple[Path, int]) -> LatentEpisode:
    """Returns a recording, of the task's file, as the vision model encodes it."""
    file, batch_size = task
    return latents.encode(episodes.EpisodeFile(file), worker.vision, batch_size)


def _reconstructed(model: Vision, seen: episodes.FrameSet, drive: Drive) -> dict[str, float]:
    """Returns how well the vision model reconstructs some of the frames, evenly spaced."""
    chosen = np.linspace(0, len(seen) - 1, min(drive.measured_frames, len(seen)))
    frames = seen[chosen.round().astype(np.int64)]
    parts = shards(frames, drive.encode_batch_size)
    decoded = [model.decode(model.encode(part)[0]) for part in parts]
    return reconstruction(frames, np.concatenate(decoded))


if __name__ == "__main__":
    main(run)
