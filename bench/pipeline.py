"""A `dvc repro` that has nothing to do, after one at the smoke scale in a copy of the project."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from verify import workspace


def no_op_seconds(folder: Path, repeats: int) -> float:
    """Returns the median of `repeats`, in seconds, in a copy made in `folder`."""
    copy = workspace.copy(folder / "copy")
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        workspace.dvc(copy, "repro")
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds[1:]), 2)
