"""Speed, side by side, on one core: one table and bench/results.json.

python -m bench [--precision fp32] [--repeats 5] [--only environment agent]

In bf16 only the parts are run that have networks. results.json has what each precision showed, with
its machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import agent, environment, loss, memory, pipeline, scaling, side_by_side, store, training
from bench.shared import on_the_processor
from bench.side_by_side import Contest
from verify.workspace import commit
from wm.core import artifacts
from wm.drive.workers import WorkerEnvs
from wm.env.fast.environment import make
from wm.exploration.recording import RecordingTask, record
from wm.nn import compute
from wm.runtime import perf
from wm.runtime.entry import command

RESULTS = Path(__file__).parent / "results.json"
PARTS = ("scaling", "environment", "agent", "training", "loss", "store", "memory", "pipeline")
NETWORKS = ("agent", "training", "loss")
"""The parts that depend on the precision."""
EPISODES, STEPS = 10, 500


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed, side by side.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART")
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error("--repeats: at least 1")
    shared = on_the_processor(arguments.precision)
    # oneDNN reads its limit once a process, so that a process has one precision
    device = compute.prepare(shared, threads=1)
    every = PARTS if arguments.precision == "fp32" else NETWORKS
    parts = tuple(part for part in every if part in (arguments.only or every))
    content: dict[str, Any] = {
        "machine": side_by_side.machine(),
        "commit": commit(RESULTS),
        "repeats": arguments.repeats,
        "stages": artifacts.read_json(perf.PATH),  # of the run that is checked out
        "rows": [],
    }
    kept = artifacts.read_json(RESULTS) if RESULTS.exists() else {}

    def compare(contests: list[Contest]) -> None:
        for contest in contests:
            records = [row.record() for row in side_by_side.run(contest, arguments.repeats)]
            content["rows"] += records
            tell(side_by_side.table(records))

    def tell(text: str) -> None:
        print(text, flush=True)
        if parts == every:  # now, so that nothing is lost if what follows fails
            artifacts.write_json(RESULTS, kept | {arguments.precision: content})

    with tempfile.TemporaryDirectory() as folder:
        if "scaling" in parts:
            with ExitStack() as stack:
                compare(scaling.contests(Path(folder), stack))
        side_by_side.one_core()
        directory, scratch = Path(folder) / "episodes", Path(folder) / "scratch"
        directory.mkdir()
        scratch.mkdir()
        task = RecordingTask(list(range(EPISODES)), 0, 0.1, STEPS, directory)
        record(WorkerEnvs(make), task)
        if "environment" in parts:
            compare(environment.contests())
        if "agent" in parts:
            compare(agent.contests(device))
        if "training" in parts:
            compare(training.contests(device, directory))
        if "loss" in parts:
            content["loss"] = loss.rows(device, directory, arguments.repeats)
            tell(loss.table(content["loss"]))
        if "store" in parts:
            compare(store.contests(directory, scratch))
            content["bytes_per_frame"] = store.bytes_per_frame(directory, scratch)
            tell(f"\nbytes a frame: {content['bytes_per_frame']}")
        if "memory" in parts:
            content["memory"] = memory.rows(directory, scratch)
            tell(memory.table(content["memory"]))
        if "pipeline" in parts:
            content["no_op_repro_seconds"] = pipeline.no_op_seconds(scratch, arguments.repeats)
            tell(f"\na dvc repro with nothing to do: {content['no_op_repro_seconds']} s")
    if parts != every:
        print(f"\nnot written to {RESULTS.name}: a part only", file=sys.stderr)


if __name__ == "__main__":
    command(main)
