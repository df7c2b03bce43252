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
    """B windows of L steps; past its end a window repeats its last frame and is masked."""

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
    """Windows of `sequence_length` steps of the episodes, all in memory.

    Every step is in as many windows as any other. Windows therefore overhang both ends of an
    episode: of those that fit, only one holds the last step, with which an episode terminates.
    What overhangs the end is masked. A window that overhangs the beginning starts there, as an
    episode does, and is as much shorter. An episode that fits into one window is always whole. No
    window is longer than the longest episode of the sets that share a batch.
    """

    def __init__(
        self, episodes: Sequence[LatentEpisode], sequence_length: int, longest: int | None = None
    ) -> None:
        """`longest` is the number of steps of the longest episode of all sets whose windows share a
        batch; if left out, of this set."""
        steps = np.array([len(episode.actions) for episode in episodes])
        self._length = length = min(
            sequence_length, int(steps.max()) if longest is None else longest
        )
        self._steps = steps
        starts = self._first_frame = np.cumsum(steps + 1) - (steps + 1)
        # each step is in `length` windows; those of a whole episode are all the same
        self._windows = np.where(steps > length, steps + length - 1, length)
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
        """Returns the number of windows."""
        return int(self._windows.sum())

    def windows(self, index: np.ndarray, device: torch.device | None = None) -> Batch:
        """Returns the windows at `index`, int (B,), each in [0, len)."""
        ends = np.cumsum(self._windows)
        episode = np.searchsorted(ends, index, side="right")
        steps, first = self._steps[episode], self._first_frame[episode]
        start = index - (ends - self._windows)[episode] - (self._length - 1)
        start[steps <= self._length] = 0
        frames = (first + np.maximum(start, 0))[:, None] + np.arange(self._length + 1)
        end = (first + np.minimum(start + self._length, steps))[:, None]
        exists = torch.from_numpy(frames[:, :-1] < end)
        at = torch.from_numpy(np.minimum(frames, end))
        taken = at[:, :-1]
        batch = Batch(
            mu=self._mu[at],
            logvar=self._logvar[at],
            action=self._action[taken],
            reward=self._reward[taken],
            done=self._done[taken],
            mask=exists.float(),
        )
        return Batch(*(tensor.to(device) for tensor in batch))


def training_batch(
    dataset: LatentDataset, size: int, seed: int, step: int, device: torch.device
) -> Batch:
    """Returns the batch of a training step: a pure function of (seed, step)."""
    generator = seeding.generator(seed, "train_rnn", "batch", step)
    return dataset.windows(generator.integers(len(dataset), size=size), device)


def validation_batches(
    dataset: LatentDataset, count: int, size: int, device: torch.device
) -> Iterator[Batch]:
    """Returns `count` batches of windows, evenly spaced over the set; the same ones every time."""
    chosen = np.linspace(0, len(dataset) - 1, count * size).round().astype(np.int64)
    return (dataset.windows(part, device) for part in np.split(chosen, count))
