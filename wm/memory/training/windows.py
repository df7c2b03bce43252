"""Windows of encoded episodes, which the MDN-RNN learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from wm.core import seeding
from wm.core.car_racing import ACTION_SIZE
from wm.memory.latents import LatentEpisode


class Batch(NamedTuple):
    """B windows of L steps; past an episode's end they repeat its last frame and are masked."""

    mu: torch.Tensor
    """The means of the latents of frames t .. t + L, float32 (B, L + 1, Z)."""
    logvar: torch.Tensor
    """The log-variances of the latents of frames t .. t + L, float32 (B, L + 1, Z)."""
    action: torch.Tensor
    """The actions at frames t .. t + L - 1, float32 (B, L, 3)."""
    reward: torch.Tensor
    """The rewards of these actions, float32 (B, L)."""
    done: torch.Tensor
    """1 where the step terminated the episode, float32 (B, L)."""
    mask: torch.Tensor
    """1 where the step exists, float32 (B, L)."""


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
        self._action = torch.zeros(rows, ACTION_SIZE)
        self._reward, self._done = torch.zeros(rows), torch.zeros(rows)
        for start, count, episode in zip(starts, steps, episodes, strict=True):
            self._action[start : start + count] = torch.from_numpy(episode.actions)
            self._reward[start : start + count] = torch.from_numpy(episode.rewards)
            self._done[start + count - 1] = float(episode.terminated)

    def __len__(self) -> int:
        """Returns the number of different windows."""
        return len(self._windows)

    def windows(self, index: np.ndarray, device: torch.device | None = None) -> Batch:
        """Returns the windows at `index`, int (B,), each in [0, len)."""
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
    """Returns the batch of a training step: a pure function of (seed, step)."""
    generator = seeding.generator(seed, "batch", step)
    return dataset.windows(generator.integers(len(dataset), size=size), device)


def validation_batches(
    dataset: LatentDataset, count: int, size: int, device: torch.device
) -> Iterator[Batch]:
    """Returns `count` batches of windows, evenly spaced over the set; the same ones every time."""
    chosen = np.linspace(0, len(dataset) - 1, count * size).round().astype(np.int64)
    return (dataset.windows(part, device) for part in np.split(chosen, count))
