"""Encoded episodes on disk, which are what the memory learns from.

A file per episode: mu and logvar float32 (T + 1, Z), actions float32 (T, 3), rewards float32 (T,)
and terminated, uint8 (1,). At 32 latents, 10,000 episodes of 1,000 steps are 2.7 GB: a data set
is held in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wm.core import artifacts, episodes
from wm.core.car_racing import ACTION_SIZE
from wm.core.episodes import EpisodeFile, file_name
from wm.core.errors import UserError
from wm.core.shards import shards

SAME = 0.1
"""Mean distance of latents, which have a spread of about 1, that another size of batch, or another
machine's arithmetic, may make of one model's; two models' are apart by about 1."""


@dataclass(frozen=True)
class LatentEpisode:
    """An episode of T steps as the vision model encodes it."""

    mu: np.ndarray
    """The means of the latents of every frame, float32 (T + 1, Z)."""
    logvar: np.ndarray
    """The log-variances of the latents of every frame, float32 (T + 1, Z)."""
    actions: np.ndarray
    """The actions, float32 (T, 3)."""
    rewards: np.ndarray
    """The rewards, float32 (T,)."""
    terminated: bool
    """Whether the environment ended the episode."""


def ids_in(directory: Path | str, source: Path | str) -> list[int]:
    """Returns the ids of the encoded episodes, sorted; UserError unless they are those of the
    folder `source`."""
    ids = episodes.ids_in(directory)
    if ids != episodes.ids_in(source):
        raise UserError(f"{directory}: not of the episodes in {source}; run encode again")
    return ids


def write(directory: Path | str, episode_id: int, latents: LatentEpisode) -> None:
    """Writes an encoded episode's file into `directory`."""
    tensors: dict[str, np.ndarray] = {
        "mu": latents.mu.astype(np.float32),
        "logvar": latents.logvar.astype(np.float32),
        "actions": latents.actions.astype(np.float32),
        "rewards": latents.rewards.astype(np.float32),
        "terminated": np.array([latents.terminated], np.uint8),
    }
    artifacts.save_tensors(Path(directory) / file_name(episode_id), tensors)


def read(directory: Path | str, episode_id: int) -> LatentEpisode:
    """Returns an encoded episode; UserError when its file is missing or damaged."""
    path = Path(directory) / file_name(episode_id)
    tensors = artifacts.load_tensors(path)
    shapes = {name: array.shape for name, array in tensors.items()}
    frames, size = (*shapes.get("mu", ()), 0, 0)[:2]
    expected = {
        "mu": (frames, size),
        "logvar": (frames, size),
        "actions": (frames - 1, ACTION_SIZE),
        "rewards": (frames - 1,),
        "terminated": (1,),
    }
    floats = {array.dtype for name, array in tensors.items() if name != "terminated"}
    if shapes != expected or frames < 1 or floats != {np.dtype(np.float32)}:
        raise UserError(f"{path}: holds {shapes}, not an episode's latents; run encode again")
    terminated = bool(tensors.pop("terminated")[0])
    return LatentEpisode(**tensors, terminated=terminated)


class VisionEncoder(Protocol):
    """A trained vision model, as far as checking its latents takes."""

    latent_size: int

    def encode(self, frames: np.ndarray) -> tuple[Any, Any]:
        """Returns mu and logvar, tensors (N, Z), of frames, uint8 (N, 64, 64, 3)."""


def encode(file: EpisodeFile, vision: VisionEncoder, batch_size: int) -> LatentEpisode:
    """Returns what the vision model makes of an episode, `batch_size` frames at a time."""
    codes = [vision.encode(file.frames(part)) for part in shards(range(len(file)), batch_size)]
    mu, logvar = (
        np.concatenate([part.cpu().numpy() for part in side]) for side in zip(*codes, strict=True)
    )
    return LatentEpisode(mu, logvar, file.actions, file.rewards, file.terminated)


def check_encoded(
    directory: Path | str,
    vision: VisionEncoder,
    files: Sequence[EpisodeFile],
    latents: Sequence[LatentEpisode],
) -> None:
    """Raises UserError unless the `latents` of a folder are what the vision model makes of the
    episodes.

    Their size is compared, and of the last frame of each of `files` its mean latents with those
    stored; the first of `latents` are those of `files`, in their order.
    """
    if {episode.mu.shape[1] for episode in latents} == {vision.latent_size}:
        frames = np.concatenate([file.frames([len(file) - 1]) for file in files])
        mu = vision.encode(frames)[0].cpu().numpy()
        stored = np.stack([episode.mu[-1] for episode in latents[: len(files)]])
        if mu.shape == stored.shape and np.abs(mu - stored).mean() < SAME:
            return
    raise UserError(f"{directory}: not what the vision model makes of the episodes; run encode")


def read_split(
    directory: Path | str, source: Path | str, ids: Sequence[int], vision: VisionEncoder
) -> tuple[list[LatentEpisode], list[LatentEpisode]]:
    """Returns the (training, held-out) ones of the encoded episodes `ids` in `directory`.

    Raises UserError unless they are what `vision` makes of the episodes in the folder `source`.
    """
    training, held_out = (
        [read(directory, id_) for id_ in side] for side in episodes.split(ids, directory)
    )
    check_encoded(directory, vision, episodes.held_out_files(source, ids), [*held_out, *training])
    return training, held_out
