"""Episodes on disk: writing, reading frames at random, and their size."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.side_by_side import Contest
from wm.core import episodes

BATCH, BATCHES = 64, 20


def contests(directory: Path, scratch: Path) -> list[Contest]:
    """Returns the contests on the recorded episodes in `directory`; writes into `scratch`."""
    ids = episodes.ids_in(directory)
    for id_ in ids:
        _save_npz(scratch / f"{id_}.npz", _read(directory, id_))
    first = _read(directory, ids[0])
    opened = episodes.FrameSet(directory, ids)
    lengths = [len(_read(directory, id_).frames) for id_ in ids]
    ends = np.cumsum(lengths)
    rng = np.random.default_rng(0)

    def written(write: Callable[[], Any]) -> Callable[[], float]:
        def rate() -> float:
            start = time.perf_counter()
            write()
            return len(first.frames) / (time.perf_counter() - start)

        return rate

    def read_ours() -> float:
        start = time.perf_counter()
        for _ in range(BATCHES):
            opened[rng.integers(len(opened), size=BATCH)]
        return BATCH * BATCHES / (time.perf_counter() - start)

    def read_npz() -> float:
        """One batch; an episode that several of its frames come from is read once."""
        start = time.perf_counter()
        index = rng.integers(ends[-1], size=BATCH)
        episode = np.searchsorted(ends, index, side="right")
        for place in np.unique(episode):
            frames = np.load(scratch / f"{ids[place]}.npz")["frames"]
            frames[index[episode == place] - (ends[place] - lengths[place])]
        return BATCH / (time.perf_counter() - start)

    return [
        Contest(
            "writing episodes (ours waits until they are on the disk)",
            "frames/s",
            {
                "ours": written(lambda: episodes.save(scratch / "ours.safetensors", first)),
                "np.savez_compressed": written(lambda: _save_npz(scratch / "npz.npz", first)),
            },
        ),
        Contest(
            f"reading batches of {BATCH} random frames of {len(ids)} episodes",
            "frames/s",
            {"ours": read_ours, "np.load": read_npz},
        ),
    ]


def bytes_per_frame(directory: Path, scratch: Path) -> dict[str, float]:
    """Returns the bytes a frame that each way takes; `contests` has written the copies."""
    ids = episodes.ids_in(directory)
    count = sum(len(_read(directory, id_).frames) for id_ in ids)
    ours = sum((directory / episodes.file_name(id_)).stat().st_size for id_ in ids)
    theirs = sum((scratch / f"{id_}.npz").stat().st_size for id_ in ids)
    return {"ours": round(ours / count, 1), "np.savez_compressed": round(theirs / count, 1)}


def _read(directory: Path, id_: int) -> episodes.Episode:
    return episodes.EpisodeFile(directory / episodes.file_name(id_)).read()


def _save_npz(path: Path, episode: episodes.Episode) -> None:
    np.savez_compressed(
        path,
        frames=episode.frames,
        actions=episode.actions,
        rewards=episode.rewards,
        telemetry=episode.telemetry,
    )
