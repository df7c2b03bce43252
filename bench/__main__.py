"""Speed, side by side, on one core: one table and bench/results.json.

python -m bench [--repeats 5] [--only scaling environment agent training loss store memory pipeline]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench import agent, environment, loss, memory, pipeline, scaling, side_by_side, store, training
from bench.side_by_side import Contest
from wm.core import artifacts
from wm.core.params import load_shared
from wm.drive.workers import WorkerEnvs
from wm.env.fast.environment import make
from wm.exploration.recording import RecordingTask, record
from wm.nn import compute
from wm.runtime import perf

RESULTS = Path(__file__).parent / "results.json"
PARTS = ("scaling", "environment", "agent", "training", "loss", "store", "memory", "pipeline")
EPISODES, STEPS = 10, 500


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed, side by side.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    arguments = parser.parse_args()
    content: dict[str, Any] = {
        "machine": side_by_side.machine(),
        "repeats": arguments.repeats,
        "stages": artifacts.read_json(perf.PATH),  # of the run that is checked out
        "rows": [],
    }

    def compare(contests: list[Contest]) -> None:
        for contest in contests:
            records = [row.record() for row in side_by_side.run(contest, arguments.repeats)]
            content["rows"] += records
            tell(side_by_side.table(records))

    def tell(text: str) -> None:
        print(text, flush=True)
        if set(arguments.only) == set(PARTS):  # now, so that nothing is lost if what follows fails
            artifacts.write_json(RESULTS, content)

    with tempfile.TemporaryDirectory() as folder:
        if "scaling" in arguments.only:
            with ExitStack() as stack:
                compare(scaling.contests(Path(folder), stack))
        side_by_side.one_core()
        shared = load_shared()
        device = replace(compute.prepare(shared, threads=1), device=torch.device("cpu"))
        directory, scratch = Path(folder) / "episodes", Path(folder) / "scratch"
        directory.mkdir()
        scratch.mkdir()
        task = RecordingTask(list(range(EPISODES)), 0, 0.1, STEPS, directory)
        record(WorkerEnvs(make), task)
        if "environment" in arguments.only:
            compare(environment.contests())
        if "agent" in arguments.only:
            compare(agent.contests(device))
        if "training" in arguments.only:
            compare(training.contests(device, directory))
        if "loss" in arguments.only:
            content["loss"] = loss.rows(device, directory, arguments.repeats)
            tell(loss.table(content["loss"]))
        if "store" in arguments.only:
            compare(store.contests(directory, scratch))
            content["bytes_per_frame"] = store.bytes_per_frame(directory, scratch)
            tell(f"\nbytes a frame: {content['bytes_per_frame']}")
        if "memory" in arguments.only:
            content["memory"] = memory.rows(directory, scratch)
            tell(memory.table(content["memory"]))
        if "pipeline" in arguments.only:
            content["no_op_repro_seconds"] = pipeline.no_op_seconds(scratch, arguments.repeats)
            tell(f"\na dvc repro with nothing to do: {content['no_op_repro_seconds']} s")
    if set(arguments.only) != set(PARTS):
        print(f"\nnot written to {RESULTS.name}: a part only", file=sys.stderr)


if __name__ == "__main__":
    main()
