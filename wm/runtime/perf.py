"""What the workspace's results cost on the machine that made them.

metrics/perf.json is in git and known to `dvc metrics`, but is no stage's output: its numbers
differ from run to run and no hash may depend on them. DVC restores a stage's outputs without
running it, and cannot restore what they cost. So a cost names the result that it was paid for, by
a digest; one whose result is not in the workspace leaves the file, and comes back with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wm.core import artifacts
from wm.core.errors import UserError
from wm.core.params import VISION_MODELS

PATH = Path("metrics/perf.json")
RESULTS = {
    "collect": "metrics/collect.json",
    **{f"train_{name}": f"plots/train_{name}.csv" for name in VISION_MODELS},
    "encode": "metrics/encode.json",
    "train_rnn": "plots/train_rnn.csv",
    "measure_rnn": "metrics/train_rnn.json",
    "train_controller": "plots/train_controller.csv",
    "evaluate": "plots/evaluate.csv",
    "film": "plots/evaluate.gif",
}
"""For each stage an output by which its result is known: one that is small, and in git."""
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of getrusage's ru_maxrss: macOS counts bytes, Linux KiB."""

Record = dict[str, Any]
"""What a result cost: its digest under `result`, and numbers."""


class Meter:
    """Counts what a stage has processed."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, what: str, number: int) -> None:
        """Adds `number` to what was processed of `what` ("frames", "steps")."""
        self.counts[what] = self.counts.get(what, 0) + number


@contextlib.contextmanager
def measure(stage: str, elapsed: Callable[[], float] | None = None) -> Iterator[Meter]:
    """Times the block, which must leave the stage's outputs in place, and records under `stage` in
    metrics/perf.json: `result`, seconds, `<what>_per_second` for each count, and peak_memory_mb
    (MiB, the largest single process of the stage). A record that cannot be written is a notice.

    `elapsed` gives the seconds where earlier attempts count too; by default the block's count.
    """
    meter, started = Meter(), time.monotonic()
    yield meter
    seconds = elapsed() if elapsed else time.monotonic() - started
    peak = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    record: Record = {"result": _present(stage), "seconds": round(seconds, 1)}
    for what, number in meter.counts.items():
        record[f"{what}_per_second"] = round(number / seconds, 1)
    record["peak_memory_mb"] = round(peak * MAXRSS_UNIT / 2**20, 1)
    try:
        update({stage: record})
    except (OSError, UserError) as error:  # worth less than what the stage has made
        print(f"notice: what {stage} cost is not kept: {error}", file=sys.stderr)


def update(paid: dict[str, Record]) -> None:
    """Brings metrics/perf.json in line with the workspace: for each stage the cost of the result
    that is there, if it is known.

    `paid` are new records. Records are kept in the checkpoints' folder, for a result that comes
    back from DVC's cache.
    """
    kept_in = Path(os.environ.get("DVC_ROOT", ".")) / "checkpoints" / "costs.json"
    kept_in.parent.mkdir(exist_ok=True)
    # two stages may finish at once
    with open(kept_in.with_suffix(".lock"), "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        shown = _records(_read(PATH))
        kept = {stage: _records(of) for stage, of in _read(kept_in).items()}
        for costs in (shown, paid):
            for stage, record in costs.items():
                if result := record["result"]:
                    known = kept.setdefault(stage, {})
                    known[result] = record | _peak(record, known.get(result, {}))
        artifacts.write_json(kept_in, kept)
        here = {stage: kept.get(stage, {}).get(_present(stage)) for stage in sorted(RESULTS)}
        content = {stage: record for stage, record in here.items() if record}
        if content != shown:
            PATH.parent.mkdir(exist_ok=True)
            artifacts.write_json(PATH, content)


def _peak(record: Record, before: Record) -> dict[str, float]:
    """Returns the larger peak of two attempts at one result: the last one may have had nothing left
    to do."""
    peaks = [found["peak_memory_mb"] for found in (record, before) if "peak_memory_mb" in found]
    return {"peak_memory_mb": max(peaks)} if peaks else {}


def digest(content: bytes) -> str:
    """Returns the `result` that stands for the content of a file of RESULTS: 12 hex digits."""
    return hashlib.sha256(content).hexdigest()[:12]


def _present(stage: str) -> str:
    """Returns what stands for the stage's result in the workspace; "" where there is none."""
    path = Path(RESULTS[stage])
    return digest(path.read_bytes()) if path.exists() else ""


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Returns the mappings in a file, by their names; none where it is not what we wrote (a merge's
    marks, say), as what a stage has made is worth more than what others have cost."""
    try:
        content = artifacts.read_json(path)
        if not isinstance(content, dict) or artifacts.first_not_finite(content):
            return {}
    except (UserError, RecursionError):
        return {}
    return {name: record for name, record in content.items() if isinstance(record, dict)}


def _records(content: dict[str, Any]) -> dict[str, Record]:
    """Returns what is a record as `measure` makes it."""
    return {
        name: record
        for name, record in content.items()
        if isinstance(record, dict)
        and isinstance(record.get("result"), str)
        and all(isinstance(of, int | float) for key, of in record.items() if key != "result")
    }
