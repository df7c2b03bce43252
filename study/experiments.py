"""The study's runs as DVC experiments: queued, worked off, and read back.

A cell is an experiment of its own name that runs `evaluate` and what it needs, in a temporary copy
of the last commit. What cells share (the episodes of a seed, a vision model) runs once: DVC's run
cache has it for the others. A stage that is interrupted resumes, as its checkpoint lies in the
workspace, outside the copy.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import dvc.api
import yaml

from bench.side_by_side import machine
from study import runs
from study.grid import Cell
from study.runs import Run
from wm.errors import UserError

PIPELINE = ("wm", "stages", "params.yaml", "dvc.yaml")
"""What a result depends on, besides its cell."""

State = Literal["Queued", "Running", "Success", "Failed"]


def check_committed() -> None:
    """UserError unless the pipeline is committed: a result names the commit that it came from."""
    if changed := _git("status", "--porcelain", "--", *PIPELINE):
        raise UserError(f"{changed.split()[-1]}: not committed; a result names its commit")


def is_current(commit: str) -> bool:
    """Whether the pipeline at a commit is that of HEAD."""
    command = ["git", "diff", "--quiet", commit, "HEAD", "--", *PIPELINE]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def finished() -> dict[str, str]:
    """Name -> revision of the experiments that ended well, from the pipeline as it is at HEAD."""
    listed = _git("for-each-ref", "--sort=creatordate", "--format=%(objectname) %(refname)",
                  "refs/exps")  # fmt: skip
    found = {}
    for line in listed.splitlines():
        revision, reference = line.split()
        # refs/exps/<2 of the commit that it started from>/<the other 38>/<name>
        match = re.fullmatch(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/([^/]+)", reference)
        if match and is_current(match[1] + match[2]):
            found[match[3]] = revision
    return found


def tasks() -> dict[str, State]:
    """Name -> state of what is in DVC's queue."""
    lines = _dvc("queue", "status").splitlines()
    # a row: Task, Name, Created (with spaces), Status
    rows = [line.split() for line in lines if re.search(r" (Queued|Running|Success|Failed)$", line)]
    return {row[1]: row[-1] for row in rows}  # type: ignore[misc]


def clear() -> None:
    """Leaves in DVC's queue only what is still to be run: what a worker that is gone left as
    running is taken out, and what has ended, well or not."""
    workers = re.search(r"(\d+) active", _dvc("queue", "status"))
    if workers is None or workers[1] == "0":
        for name in [name for name, state in tasks().items() if state == "Running"]:
            _dvc("queue", "kill", name)
    _dvc("queue", "remove", "--success", "--failed")


def queue(cell: Cell) -> None:
    """Puts a cell into DVC's queue."""
    _dvc("exp", "run", "--queue", *_arguments(cell))


def start(jobs: int) -> None:
    """Has DVC work off its queue in the background; workers that are there already count."""
    # never piped: the workers would keep the pipe open
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "dvc", "queue", "start", "-j", str(jobs)]
        subprocess.run(command, stdout=log, stderr=log, check=True)


def last_line(name: str) -> str:
    """Of what a cell in the queue has printed so far; its stage's line, if it failed."""
    return _last_line(_dvc("queue", "logs", name, check=False))


def run_here(cell: Cell) -> str | None:
    """Runs a cell without the queue, to its end; what its stage said last if it failed."""
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", *_arguments(cell)]
    lines = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return None if process.returncode == 0 else _last_line("".join(lines))


def keep(cell: Cell, revision: str) -> Run:
    """Writes results/runs/<cell> from a finished experiment."""
    commit = _git("rev-parse", f"{revision}^")
    vision = dvc.api.params_show("params.yaml", rev=revision)["vision"]
    names = {stage: stage.replace("vision", vision) for stage in runs.CHAIN}

    def metrics(of: str, name: str) -> dict[str, Any]:
        return dvc.api.metrics_show(f"metrics/{name}.json", rev=of)

    costs, before = metrics(revision, "perf"), metrics(commit, "perf")
    stages = yaml.safe_load(dvc.api.read("dvc.lock", rev=revision))["stages"]
    run = Run(
        cell=cell.name, variant=cell.variant.name, seed=cell.seed, changes=_changes(cell),
        commit=commit, machine=machine(),
        metrics={stage: metrics(revision, name) for stage, name in names.items()},
        # a stage that was taken from the cache left the commit's record as it was
        costs={stage: costs[name] for stage, name in names.items()
               if name in costs and costs[name] != before.get(name)},
        hashes={out["path"]: out["md5"] for name in names.values()
                for out in stages[name]["outs"]},
    )  # fmt: skip
    curves = {stage: dvc.api.read(f"plots/{names[stage]}.csv", rev=revision)
              for stage in runs.CURVES}  # fmt: skip
    runs.save(run, curves)
    return run


def keep_failure(cell: Cell, error: str) -> Run:
    """Writes results/runs/<cell> for a cell that failed: no table leaves it out."""
    run = Run(cell=cell.name, variant=cell.variant.name, seed=cell.seed, changes=_changes(cell),
              commit=_git("rev-parse", "HEAD"), machine=machine(), error=error)  # fmt: skip
    runs.save(run, {})
    return run


def _last_line(output: str) -> str:
    # dvc's own last word is only that a command failed
    said = [line for line in output.splitlines() if line.strip() and not line.startswith("ERROR:")]
    return said[-1].strip() if said else output.strip()


def _changes(cell: Cell) -> list[str]:
    scale = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["scale"]
    return cell.changes(scale)


def _arguments(cell: Cell) -> list[str]:
    changes = [part for change in _changes(cell) for part in ("-S", change)]
    return ["--name", cell.name, *changes, "evaluate"]


def _git(*arguments: str) -> str:
    return _run(["git", *arguments])


def _dvc(*arguments: str, check: bool = True) -> str:
    return _run([sys.executable, "-m", "dvc", *arguments], check)


def _run(command: list[str], check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise UserError(f"{' '.join(command[-4:])}: {' '.join(last)}")
    return done.stdout.strip()
