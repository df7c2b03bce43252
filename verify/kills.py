"""Long stages killed at random moments and run again: the bytes of a run that was never killed.

The stages are hurried ones: they save a checkpoint after every step, so that about as many kills
hit a write as hit the work. A moment is drawn uniformly over the time between a stage's start of
work and its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from verify import workspace

STAGES = ("collect", "train_vae", "train_vaegan", "train_rnn", "train_controller", "evaluate")
WAYS = ("SIGKILL", "SIGTERM", "Ctrl-C", "a worker")
WITH_WORKERS = ("collect", "train_controller", "evaluate")
SHARDS = {
    "shard_episodes: 8 ": "shard_episodes: 1 ",
    "max_steps: 40, shard_episodes: 2": "max_steps: 40, shard_episodes: 1",
}  # several shards for each of two workers, even at the smoke scale
UNITS = {"collect": 2, "evaluate": 2}
"""That may be done twice: an episode under way in each worker; elsewhere a step or a generation."""


def rows(folder: Path, stages: Sequence[str], moments: int, seed: int) -> Iterator[dict[str, Any]]:
    """A row a stage and way to die: how often it was killed while it worked, how often the outcome
    differed, what it said that it should not, and the most work that was done twice."""
    finished = workspace.copy(folder / "finished")
    for old, new in SHARDS.items():
        workspace.edit(finished, old, new)
    workspace.dvc(finished, "repro")
    for stage in stages:
        rng = random.Random(f"{seed} {stage}")
        with Trial(finished, folder / stage, stage) as trial:
            for way in WAYS if stage in WITH_WORKERS else WAYS[:-1]:
                yield {"stage": stage, "way": way, **trial.row(way, moments, rng)}


class Trial:
    """One stage, in a copy of a finished workspace; a context manager."""

    def __init__(self, finished: Path, folder: Path, stage: str) -> None:
        shutil.copytree(finished, folder, ignore=shutil.ignore_patterns(".git", ".dvc"))
        self.folder, self.stage = folder, stage
        self.counts, self.errors = folder / "counts", folder / "counts.err"
        outs = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"][stage]
        entries = [*outs.get("outs", []), *outs.get("metrics", []), *outs.get("plots", [])]
        self.outs = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]

    def __enter__(self) -> Trial:
        self.starter = subprocess.Popen(
            [sys.executable, "-m", "verify.hurried", self.stage, str(self.counts)],
            cwd=self.folder, env=workspace.environment(), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self._clear()
        self._start()
        started = time.monotonic()
        assert self._end() == 0, f"{self.stage} failed before any kill"
        self.seconds = time.monotonic() - started
        self.expected, self.units = self._digest(), self._counted()
        return self

    def __exit__(self, *_: object) -> None:
        self.starter.kill()
        self.starter.communicate()

    def row(self, way: str, moments: int, rng: random.Random) -> dict[str, Any]:
        killed, different, tracebacks, repeated = 0, 0, 0, 0
        for _ in range(moments):
            self._clear()
            process = self._start()
            time.sleep(rng.uniform(0, self.seconds))
            alive = self._kill(process, way, rng)
            status = self._end()
            if self._is_unfinished():
                killed += alive
                status = self._run_again()
            elif way == "SIGKILL":  # when the work was done
                status = 0
            different += status != 0 or self._is_unfinished() or self._digest() != self.expected
            tracebacks += "Traceback" in self.errors.read_text()
            repeated = max(repeated, self._counted() - self.units)
        return {
            "moments": moments,
            "killed_at_work": killed,
            "different": different,
            "tracebacks": tracebacks,
            "units": self.units,
            "most_units_repeated": repeated,
            "units_allowed": UNITS.get(self.stage, 1),
        }

    def _run_again(self) -> int:
        for out in self.outs:  # as dvc does
            _remove(self.folder / out)
        self._start()
        return self._end()

    def _start(self) -> int:
        """The stage's process, once it has begun to work."""
        assert self.starter.stdin is not None
        assert self.starter.stdout is not None
        before = self._locks()
        self.starter.stdin.write("\n")
        process = int(self.starter.stdout.readline())
        while _runs(process) and self._locks() == before:
            time.sleep(0.005)
        return process

    def _end(self) -> int:
        """Waits for the process that was started last; its exit status."""
        assert self.starter.stdout is not None
        return int(self.starter.stdout.readline())

    def _locks(self) -> dict[Path, int]:
        """A process that enters a checkpoint opens its lock for writing."""
        found = {}
        for file in self.folder.glob(f"checkpoints/{self.stage}-*/lock"):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                found[file] = file.stat().st_mtime_ns
        return found

    def _is_unfinished(self) -> bool:
        return bool(self._locks())

    def _kill(self, process: int, way: str, rng: random.Random) -> bool:
        """Whether there was still somebody to kill."""
        if not _runs(process):
            return False
        if way == "a worker":
            if not (workers := _workers(process)):
                return False
            process, number = rng.choice(workers), signal.SIGKILL
        elif way == "Ctrl-C":
            process, number = -process, signal.SIGINT  # the group
        else:
            number = getattr(signal, way)
        try:
            os.kill(process, number)
        except ProcessLookupError:
            return False
        return True

    def _clear(self) -> None:
        self.counts.write_text("")
        self.errors.write_text("")
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        for out in self.outs:
            _remove(self.folder / out)

    def _counted(self) -> int:
        return sum(map(int, self.counts.read_text().split()))

    def _digest(self) -> str:
        """Of the stage's outputs: names and bytes."""
        sha = hashlib.sha256()
        for out in self.outs:
            path = self.folder / out
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.is_file():
                    sha.update(f"{file.relative_to(self.folder)}".encode())
                    sha.update(file.read_bytes())
        return sha.hexdigest()


def _runs(process: int) -> bool:
    """And is not a zombie that its starter has yet to see."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _workers(parent: int) -> list[int]:
    """The processes of its executor."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
