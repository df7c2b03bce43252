"""Encoded episodes, and the windows of them that the memory learns from.

A file per episode: mu and logvar float32 (T + 1, Z), actions float32 (T, 3), rewards float32 (T,)
and terminated, uint8 (1,). At 32 latents, 10,000 episodes of 1,000 steps are 2.7 GB: a data set
is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wm import artifacts, episodes, seeding
from wm.episodes import file_name
from wm.errors import UserError
from wm.mdnrnn import ACTION_SIZE, Batch


@dataclass(frozen=True)
class LatentEpisode:
    """An episode as the vision model saw it; arrays as in the file."""

    mu: np.ndarray
    logvar: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool


def ids_in(directory: Path | str, source: Path | str) -> list[int]:
    """The ids of the encoded episodes; UserError unless they are those of the folder `source`."""
    ids = episodes.ids_in(directory)
    if ids != episodes.ids_in(source):
        raise UserError(f"{directory}: not of the episodes in {source}; run encode again")
    return ids


def write(directory: Path | str, episode_id: int, latents: LatentEpisode) -> None:
    """Writes an episode's file into `directory`."""
    tensors: dict[str, np.ndarray] = {
        "mu": latents.mu.astype(np.float32),
        "logvar": latents.logvar.astype(np.float32),
        "actions": latents.actions.astype(np.float32),
        "rewards": latents.rewards.astype(np.float32),
        "terminated": np.array([latents.terminated], np.uint8),
    }
    artifacts.save_tensors(Path(directory) / file_name(episode_id), tensors)


def read(directory: Path | str, episode_id: int) -> LatentEpisode:
    """Reads one; UserError when it is missing or damaged."""
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


class LatentDataset:
    """Windows of `sequence_length` steps at random places of random episodes, all in memory.

    Every window that fits into its episode is equally likely; an episode that is shorter is one
    window, its missing steps masked.
    """

    def __init__(self, episodes: Sequence[LatentEpisode], sequence_length: int) -> None:
        self._length = sequence_length
        steps = np.array([len(episode.actions) for episode in episodes])
        self._last = np.repeat(np.cumsum(steps + 1) - 1, steps + 1)  # the last frame of each's own
        starts = np.cumsum([0, *(steps + 1)[:-1]])
        windows = np.maximum(steps - sequence_length, 0) + 1
        self._windows = np.concatenate(
            [start + np.arange(count) for start, count in zip(starts, windows, strict=True)]
        )
        self._mu = torch.from_numpy(np.concatenate([episode.mu for episode in episodes]))
        self._logvar = torch.from_numpy(np.concatenate([episode.logvar for episode in episodes]))
        # a frame's row holds the action taken there; the last frame of an episode has none
        rows = len(self._mu)
        self._action = torch.zeros(rows, 3)
        self._reward, self._done = torch.zeros(rows), torch.zeros(rows)
        for start, count, episode in zip(starts, steps, episodes, strict=True):
            self._action[start : start + count] = torch.from_numpy(episode.actions)
            self._reward[start : start + count] = torch.from_numpy(episode.rewards)
            self._done[start + count - 1] = float(episode.terminated)

    def __len__(self) -> int:
        """Number of different windows."""
        return len(self._windows)

    def windows(self, index: np.ndarray, device: torch.device | None = None) -> Batch:
        """The windows at `index`, int (B,), each in [0, len)."""
        start = self._windows[index]
        frames = start[:, None] + np.arange(self._length + 1)
        last = self._last[start][:, None]
        exists = torch.from_numpy(frames[:, :-1] < last)
        at = torch.from_numpy(np.minimum(frames, last))
        steps = at[:, :-1]
        batch = Batch(
            mu=self._mu[at],
            logvar=self._logvar[at],
            action=self._action[steps],
            reward=self._reward[steps],
            done=self._done[steps],
            mask=exists.float(),
        )
        return Batch(*(tensor.to(device) for tensor in batch))


def training_batch(
    dataset: LatentDataset, size: int, seed: int, step: int, device: torch.device
) -> Batch:
    """The batch of a training step: a pure function of (seed, step)."""
    generator = seeding.generator(seed, "batch", step)
    return dataset.windows(generator.integers(len(dataset), size=size), device)


def validation_batches(
    dataset: LatentDataset, count: int, size: int, device: torch.device
) -> Iterator[Batch]:
    """`count` batches of windows, evenly spaced over the set; the same ones every time."""
    chosen = np.linspace(0, len(dataset) - 1, count * size).round().astype(np.int64)
    return (dataset.windows(part, device) for part in np.split(chosen, count))
