"""Peak memory of training the VAE on data sets of which the largest, decoded, is many times as
large as the memory that the process is allowed."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from bench.shared import on_the_processor
from wm.core import episodes
from wm.nn import compute
from wm.vision.metrics.held_out import HeldOutFrames
from wm.vision.models.vae.learner import VaeLearner
from wm.vision.models.vae.networks import Config
from wm.vision.training.schedule import Schedule
from wm.vision.training.train import TrainingFrames

LIMIT = 2**30
"""Bytes of private writable memory that may be reserved; to allocate more fails."""
TIMES, STEPS, BATCH, HELD_OUT = (20, 320), 30, 64, 256


def rows(recorded: Path, scratch: Path) -> list[dict[str, Any]]:
    """Returns the peaks of training on the recorded episodes `TIMES` over, by links."""
    found = []
    for times in TIMES:
        folder = scratch / f"{times}_times"
        folder.mkdir()
        paths = [recorded / episodes.file_name(id_) for id_ in episodes.ids_in(recorded)] * times
        for id_, path in enumerate(paths):
            os.link(path, folder / episodes.file_name(id_))
        command = [sys.executable, "-m", "bench.memory", str(folder)]
        frames, peak = map(int, subprocess.check_output(command, text=True).split())
        decoded = frames * episodes.FRAME_BYTES
        found.append(
            {
                "frames": frames,
                "decoded_mib": decoded >> 20,
                "limit_mib": LIMIT >> 20,
                "peak_mib": peak >> 10,
            }
        )
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as text."""
    lines = ["\ntraining the VAE under a limit on private memory (resident: with libraries), MiB"]
    lines += [
        f"  {row['frames']:>12,} frames{row['decoded_mib']:>12,} decoded"
        f"{row['limit_mib']:>10,} allowed{row['peak_mib']:>10,} resident at most"
        for row in rows
    ]
    return "\n".join(lines)


def _train(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    device = compute.prepare(on_the_processor(), threads=1)
    data, held_out = TrainingFrames(folder, 0, "bench", device), HeldOutFrames(folder, HELD_OUT)
    learner = VaeLearner(Config(), device, Schedule(1e-3, STEPS, False), seed=0)
    for step in range(STEPS):
        learner.step(data.batch(step, BATCH), torch.Generator().manual_seed(step))
    # not getrusage: what it tells of a child holds the peak of the parent that started it
    status = Path("/proc/self/status").read_text()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    assert len(held_out.frames) <= HELD_OUT  # in memory until here, as in the stage
    training, _ = episodes.split(episodes.ids_in(folder))
    print(len(episodes.FrameSet(folder, training)), peak)


if __name__ == "__main__":
    _train(Path(sys.argv[1]))
