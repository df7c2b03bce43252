"""What a stage cost on this machine: kept apart from the metrics that must not change.

metrics/perf.json is in git and known to `dvc metrics`, but is no stage's output: its numbers
differ from run to run and no hash may depend on them.
"""

from __future__ import annotations

import contextlib
import fcntl
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from wm.core import artifacts
from wm.core.errors import UserError

PATH = Path("metrics/perf.json")
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of getrusage's ru_maxrss: macOS counts bytes, Linux KiB."""


class Meter:
    """Counts what a stage has processed."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, what: str, number: int) -> None:
        """Adds `number` to what was processed of `what` ("frames", "steps")."""
        self.counts[what] = self.counts.get(what, 0) + number


@contextlib.contextmanager
def measure(stage: str, elapsed: Callable[[], float] | None = None) -> Iterator[Meter]:
    """Times the block and records under `stage` in metrics/perf.json: seconds, `<what>_per_second`
    for each count, and peak_memory_mb (MiB, the largest single process of the stage).

    `elapsed` gives the seconds where earlier attempts count too; by default the block's count.
    """
    meter, started = Meter(), time.monotonic()
    yield meter
    seconds = elapsed() if elapsed else time.monotonic() - started
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    record = {"seconds": round(seconds, 1)}
    for what, number in meter.counts.items():
        record[f"{what}_per_second"] = round(number / seconds, 1)
    record["peak_memory_mb"] = round(peak * MAXRSS_UNIT / 2**20, 1)
    _merge(stage, record)


def _merge(stage: str, record: dict[str, float]) -> None:
    PATH.parent.mkdir(parents=True, exist_ok=True)
    # two stages may finish at once
    lock = Path("checkpoints/perf.lock")
    lock.parent.mkdir(exist_ok=True)
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        everything = _known() | {stage: record}
        artifacts.write_json(PATH, {name: everything[name] for name in sorted(everything)})


def _known() -> dict[str, dict[str, float]]:
    """Returns the records of other stages; none where the file is not what we wrote (a merge's
    marks, say), as what a stage has made is worth more than what others have cost."""
    try:
        content = artifacts.read_json(PATH)
    except UserError:
        return {}
    if not isinstance(content, dict) or artifacts.first_not_finite(content):
        return {}
    return {name: record for name, record in content.items() if isinstance(record, dict)}
