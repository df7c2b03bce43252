"""Every stage on a disk that fills while it writes: one line, nothing half-written, and run again
with space the same bytes. Takes root, for a tmpfs; another's run has no rows.

The space that is left is drawn uniformly between none and a little more than the stage takes, so
that any of its writes may be the one that fails.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verify import workspace
from verify.stage import STAGES
from verify.trial import Trial, runs

SIZE = "64m"


def rows(folder: Path, moments: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields a row a stage: how often the disk was full before the stage had ended, how often it
    did not say so in one line or left half an output, and how often the outcome then differed."""
    try:
        with _disk(folder / "tried"):
            pass
    except (OSError, subprocess.CalledProcessError):
        print("full_disk: no tmpfs can be mounted here, which takes root; skipped", flush=True)
        return
    finished = workspace.copy(folder / "finished")
    for vision in ("vaegan", "vae"):
        workspace.set_param(finished, "vision", vision)
        workspace.dvc(finished, "repro")
    for stage in STAGES:
        rng = random.Random(f"{seed} {stage}")
        with _disk(folder / stage) as disk, Trial(finished, disk, stage) as trial:
            yield {"stage": stage, **_row(trial, moments, rng)}


def _row(trial: Trial, moments: int, rng: random.Random) -> dict[str, Any]:
    finished = {file: file.read_bytes() for file in trial.files()}
    taken = _taken(trial)
    filler = trial.folder / "filler"
    full = different = not_one_line = half_written = 0
    for _ in range(moments):
        trial.clear()
        spare = rng.randrange(round(1.1 * taken))
        filler.write_bytes(bytes(shutil.disk_usage(trial.folder).free - spare))
        trial.start()
        if trial.end() != 0:
            full += 1
            lines = [line for line in trial.said().splitlines() if "error: " in line]
            named = len(lines) == 1 and "No space left on device" in lines[0]
            not_one_line += not named or "Traceback" in trial.said()
            half_written += any(file.read_bytes() != finished.get(file) for file in trial.files())
        filler.unlink()
        trial.remove_outs()
        trial.start()
        different += trial.end() != 0 or trial.is_unfinished() or trial.digest() != trial.expected
    return {
        "moments": moments,
        "full_at_work": full,
        "not_one_line": not_one_line,
        "half_written": half_written,
        "different": different,
    }


def _taken(trial: Trial) -> int:
    """Returns the bytes that the stage has on the disk at most; those at its end where it has no
    checkpoint, which shows that it works."""
    trial.clear()
    free = lowest = shutil.disk_usage(trial.folder).free
    process = trial.start()
    while runs(process):
        lowest = min(lowest, shutil.disk_usage(trial.folder).free)
        time.sleep(0.002)
    trial.end()
    return free - min(lowest, shutil.disk_usage(trial.folder).free)


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """Gives a file system of its own at `folder`."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
