"""Speed, side by side, on one core: one table and bench/results.json.

python -m bench [--repeats 5] [--only environment agent training store]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from bench import agent, environment, side_by_side, store, training
from wm import artifacts, compute, workers
from wm.params import Run

RESULTS = Path(__file__).parent / "results.json"
PARTS = ("environment", "agent", "training", "store")
EPISODES, STEPS = 10, 500


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed, side by side, on one core.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    arguments = parser.parse_args()
    side_by_side.one_core()
    machine = side_by_side.machine()
    run = Run(vision="vae", scale="laptop", seed=0, precision="auto", threads=1)
    device = replace(compute.prepare(run, threads=1), device=torch.device("cpu"))
    records: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        directory, scratch = Path(folder) / "episodes", Path(folder) / "scratch"
        directory.mkdir()
        scratch.mkdir()
        task = workers.Recording(list(range(EPISODES)), 0, 0.1, STEPS, directory)
        workers.record(workers.Garage("fast"), task)
        parts = {
            "environment": environment.contests,
            "agent": lambda: agent.contests(device),
            "training": lambda: training.contests(device, directory),
            "store": lambda: store.contests(directory, scratch),
        }
        for part in arguments.only:
            for contest in parts[part]():
                rows = side_by_side.run(contest, arguments.repeats)
                records += [row.record() for row in rows]
                print(side_by_side.table(records[-len(rows) :]), flush=True)
        if "store" in arguments.only:
            sizes = store.bytes_per_frame(directory, scratch)
            print("\nbytes a frame: " + ", ".join(f"{name} {n}" for name, n in sizes.items()))
    if set(arguments.only) == set(PARTS):
        content = {"machine": machine, "repeats": arguments.repeats, "rows": records}
        content["bytes_per_frame"] = sizes
        artifacts.write_json(RESULTS, content)
    else:
        print(f"\nnot written to {RESULTS.name}: a part only", file=sys.stderr)


if __name__ == "__main__":
    main()
