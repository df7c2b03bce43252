"""A film of episodes side by side, as gymnasium draws them for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from wm.core.car_racing import FRAMES_PER_SECOND
from wm.core.errors import UserError


def write(path: Path, films: Sequence[Sequence[np.ndarray]]) -> None:
    """Writes an H.264 MP4; `films` are of frames, uint8 (H, W, 3) of one size each.

    A film that ends early stands still. Raises UserError when it cannot be written.
    """
    length = max(map(len, films))
    height, width, _ = films[0][0].shape
    partial = path.with_suffix(".partial.mp4")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = imageio_ffmpeg.write_frames(
            str(partial), (width * len(films), height), fps=FRAMES_PER_SECOND, macro_block_size=2
        )
        writer.send(None)
        for step in range(length):
            row = [film[min(step, len(film) - 1)] for film in films]
            writer.send(np.ascontiguousarray(np.concatenate(row, axis=1)))
        writer.close()
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written: {error}") from None
