"""The study's runs as DVC experiments: queued, worked off, and read back.

A cell is an experiment of its own name that runs `evaluate` and what it needs, in a temporary copy
of the last commit. What cells share (the episodes of a seed, a vision model) runs once: DVC's run
cache has it for the others. A stage that is interrupted resumes, as its checkpoint lies in the
workspace, outside the copy.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import dvc.api
import numpy as np
import threadpoolctl
import yaml

from bench.side_by_side import machine
from study import runs
from study.grid import Cell
from study.runs import Run
from wm.errors import UserError

CODE = ("wm", "stages", "dvc.yaml")
"""What a result depends on, besides params.yaml."""
RECORDS = ("params.yaml", "dvc.lock", "metrics", "plots")
"""What an experiment starts from."""
PATIENCE = 60
"""Seconds for DVC to take note that it has killed something."""

State = Literal["Queued", "Running", "Success", "Failed"]


def check_committed() -> None:
    """UserError unless the pipeline and its records are committed: an experiment would take the
    changes along, and a result names the commit that it came from."""
    if changed := _git("status", "--porcelain", "--untracked-files=no", "--", *CODE, *RECORDS):
        raise UserError(f"{changed.split()[-1]}: not committed; a result names its commit")


def is_current(commit: str) -> bool:
    """Whether the code at a commit is that of HEAD."""
    command = ["git", "diff", "--quiet", commit, "HEAD", "--", *CODE]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def revisions(name: str) -> list[str]:
    """The experiments of this name that ended well, the newest first."""
    listed = _git("for-each-ref", "--sort=-creatordate", "--format=%(objectname) %(refname)",
                  "refs/exps")  # fmt: skip
    # refs/exps/<2 of the commit that it started from>/<the other 38>/<name>
    reference = re.compile(rf"(\S+) refs/exps/[0-9a-f]{{2}}/[0-9a-f]{{38}}/{re.escape(name)}")
    matches = map(reference.fullmatch, listed.splitlines())
    return [match[1] for match in matches if match]


def finished(cell: Cell) -> str | None:
    """The experiment that ran a cell with the code and the parameters as they are at HEAD."""
    expected = _params("HEAD")
    for change in cell.changes(expected["scale"]):
        key, _, value = change.partition("=")
        *path, last = key.split(".")
        reduce(lambda section, name: section[name], path, expected)[last] = yaml.safe_load(value)
    for revision in revisions(cell.name):
        if is_current(revision) and _params(revision) == expected:
            return revision
    return None


def tasks() -> dict[str, State]:
    """Name -> state of what is in DVC's queue."""
    lines = _dvc("queue", "status").splitlines()
    # a row: Task, Name, Created (with spaces), Status
    rows = [line.split() for line in lines if re.search(r" (Queued|Running|Success|Failed)$", line)]
    return {row[1]: row[-1] for row in rows}  # type: ignore[misc]


def has_worker() -> bool:
    """Whether DVC's queue is being worked off. A worker that is busy may miss one question."""
    for _ in range(2):
        found = re.search(r"(\d+) active, (\d+) idle", _dvc("queue", "status"))
        if found and (found[1], found[2]) != ("0", "0"):
            return True
    return False


def clear(names: Collection[str]) -> None:
    """Takes cells of these names out of DVC's queue, but for one that a worker is running: what
    ended, well or not, what waits (with the code of an older commit, perhaps), and what a worker
    that is gone left as running."""
    if not has_worker():
        for name in [name for name in _in_state("Running") if name in names]:
            _dvc("queue", "kill", name)
        deadline = time.monotonic() + PATIENCE
        while any(name in names for name in _in_state("Running")):
            if time.monotonic() > deadline:
                raise UserError("dvc queue: a run without a worker cannot be killed; "
                                "delete .dvc/tmp/exps and run this again")  # fmt: skip
            time.sleep(1)
    ours = [name for name, state in tasks().items() if name in names and state != "Running"]
    if ours:
        _dvc("queue", "remove", *ours)


def queue(cell: Cell) -> None:
    """Puts a cell into DVC's queue."""
    _dvc("exp", "run", "--queue", *_arguments(cell))


def start(jobs: int) -> None:
    """Has DVC work off its queue in the background; workers that are there already count."""
    # never piped: the workers would keep the pipe open
    with tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-m", "dvc", "queue", "start", "-j", str(jobs)]
        status = subprocess.run(
            command, stdout=log, stderr=log, env=_environment(), check=False
        ).returncode
        log.seek(0)
        if status:
            raise UserError(f"dvc queue start: {_reason(log.read())}")


def last_line(name: str) -> str:
    """Of what a cell in the queue has printed so far."""
    lines = _dvc("queue", "logs", name, check=False).splitlines()
    return lines[-1] if lines else ""


def reason(name: str) -> str:
    """Why a cell in the queue failed."""
    return _reason(_dvc("queue", "logs", name, check=False))


def run_here(cell: Cell) -> str | None:
    """Runs a cell without the queue, to its end; why it failed, if it did."""
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", *_arguments(cell)]
    lines = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment()
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return None if process.returncode == 0 else _reason("".join(lines))


def keep(cell: Cell, revision: str) -> Run:
    """Writes results/runs/<cell> from a finished experiment."""
    commit = _git("rev-parse", f"{revision}^")
    parameters = _params(revision)
    names = {stage: stage.replace("vision", parameters["vision"]) for stage in runs.CHAIN}
    hashes, before = output_hashes(revision), output_hashes(commit)
    costs, known = _metrics(revision, "perf"), _metrics(commit, "perf")

    def paid(name: str) -> bool:
        """Here, and not by a run (another, or this one before it was killed) whose outputs DVC took
        from its cache: such a stage left the commit's record as it was, which is its own only if
        the commit's outputs are the same."""
        outputs = hashes.get(name)
        return name in costs and (costs[name] != known.get(name) or outputs == before.get(name))

    run = Run(
        cell=cell.name, variant=cell.variant.name, seed=cell.seed, scale=parameters["scale"],
        changes=cell.changes(parameters["scale"]), commit=commit, machine=_machine(),
        metrics={stage: _metrics(revision, name) for stage, name in names.items()},
        costs={stage: costs[name] for stage, name in names.items() if paid(name)},
        hashes={path: md5 for name in names.values() for path, md5 in hashes[name].items()},
    )  # fmt: skip
    curves = {stage: dvc.api.read(f"plots/{names[stage]}.csv", rev=revision)
              for stage in runs.CURVES}  # fmt: skip
    runs.save(run, curves)
    return run


def keep_failure(cell: Cell, error: str) -> Run:
    """Writes results/runs/<cell> for a cell that failed: no table leaves it out."""
    scale = _params("HEAD")["scale"]
    run = Run(cell=cell.name, variant=cell.variant.name, seed=cell.seed, scale=scale,
              changes=cell.changes(scale), commit=_git("rev-parse", "HEAD"), machine=_machine(),
              error=error)  # fmt: skip
    runs.save(run, {})
    return run


def output_hashes(revision: str) -> dict[str, dict[str, str]]:
    """Stage -> path -> hash of what dvc.lock says of a revision's outputs."""
    try:
        stages = yaml.safe_load(_git("show", f"{revision}:dvc.lock"))["stages"]
    except UserError:  # nothing had been run
        return {}
    return {
        name: {out["path"]: out["md5"] for out in stage.get("outs", [])}
        for name, stage in stages.items()
    }


def _params(revision: str) -> dict[str, Any]:
    return yaml.safe_load(_git("show", f"{revision}:params.yaml"))


def _metrics(revision: str, name: str) -> dict[str, Any]:
    """Not by dvc.api.exp_show: it goes through the whole history (100 s) and joins what all files
    say under one name, so that `mse` of train_vae and of encode could not be told apart."""
    return dvc.api.metrics_show(f"metrics/{name}.json", rev=revision)


def _machine() -> dict[str, Any]:
    """This one, which has just run what is kept, and the BLAS that its NumPy uses."""
    assert np.__version__  # loaded, or there would be none to ask
    blas = [pool["architecture"] for pool in threadpoolctl.threadpool_info()
            if pool["user_api"] == "blas" and "architecture" in pool]  # fmt: skip
    facts = {key: value for key, value in machine().items() if key != "load_before"}
    return facts | {"blas": ", ".join(sorted(set(blas)))}


def _reason(output: str) -> str:
    """The stage's own line, or else dvc's last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    stage = [line for line in lines if line.startswith("error: ")]
    return (stage or lines or ["it said nothing"])[-1]


def _in_state(state: State) -> list[str]:
    return [name for name, found in tasks().items() if found == state]


def _arguments(cell: Cell) -> list[str]:
    changes = cell.changes(_params("HEAD")["scale"])
    return ["--name", cell.name, *(part for change in changes for part in ("-S", change)),
            "evaluate"]  # fmt: skip


def _environment() -> dict[str, str]:
    """With this Python first: dvc starts `dvc` and `python`, whichever PATH has."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _git(*arguments: str) -> str:
    return _run(["git", *arguments])


def _dvc(*arguments: str, check: bool = True) -> str:
    return _run([sys.executable, "-m", "dvc", *arguments], check)


def _run(command: list[str], check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    if check and done.returncode:
        raise UserError(f"{' '.join(command[-4:])}: {_reason(done.stderr or done.stdout)}")
    return done.stdout.strip()
