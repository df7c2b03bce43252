"""Long stages killed at random moments and run again: the bytes of a run that was never killed.

The stages are hurried ones: they save a checkpoint after every step, so that about as many kills
hit a write as hit the work. A moment is drawn uniformly over the time between a stage's start of
work and its end.
"""

from __future__ import annotations

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
UNITS = {"collect": 8, "evaluate": 4}  # at most in flight and lost: two shards; 1 elsewhere
TIMEOUT = 300.0


def rows(folder: Path, stages: Sequence[str], moments: int, seed: int) -> Iterator[dict[str, Any]]:
    """A row a stage and way to die: how often it was killed while it worked, how often the outcome
    differed, what it said that it should not, and the most work that was done twice."""
    finished = workspace.copy(folder / "finished")
    workspace.dvc(finished, "repro")
    for stage in stages:
        rng = random.Random(f"{seed} {stage}")
        trial = Trial(finished, folder / stage, stage)
        for way in WAYS if stage in WITH_WORKERS else WAYS[:-1]:
            yield {"stage": stage, "way": way, **trial.row(way, moments, rng)}


class Trial:
    """One stage, in a copy of a finished workspace."""

    def __init__(self, finished: Path, folder: Path, stage: str) -> None:
        shutil.copytree(finished, folder, ignore=shutil.ignore_patterns(".git", ".dvc"))
        self.folder, self.stage = folder, stage
        self.counts = folder / "counts"
        outs = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"][stage]
        entries = [*outs.get("outs", []), *outs.get("metrics", []), *outs.get("plots", [])]
        self.outs = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
        self._clear()
        process, started = self._start(), time.monotonic()
        process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, f"{stage} failed before any kill"
        self.seconds = time.monotonic() - started
        self.expected, self.units = self._digest(), self._counted()

    def row(self, way: str, moments: int, rng: random.Random) -> dict[str, Any]:
        killed, different, noise, repeated = 0, 0, set[str](), 0
        for _ in range(moments):
            self._clear()
            process = self._start()
            time.sleep(rng.uniform(0, self.seconds))
            alive = self._kill(process, way, rng)
            said = process.communicate(timeout=TIMEOUT)[1]
            killed += alive and self._is_unfinished()
            failed = False
            if self._is_unfinished():  # or it was killed when its work was done
                process = self._start()
                said += process.communicate(timeout=TIMEOUT)[1]
                failed = process.returncode != 0 or self._is_unfinished()
            different += failed or self._digest() != self.expected
            noise |= {line for line in said.splitlines() if "Traceback" in line}
            repeated = max(repeated, self._counted() - self.units)
        return {
            "moments": moments,
            "killed_at_work": killed,
            "different": different,
            "tracebacks": len(noise),
            "units": self.units,
            "most_units_repeated": repeated,
            "units_allowed": UNITS.get(self.stage, 1),
        }

    def _start(self) -> subprocess.Popen[str]:
        """The stage, once it has begun to work (imports are not its own)."""
        process = subprocess.Popen(
            [sys.executable, "-m", "verify.hurried", self.stage, str(self.counts)],
            cwd=self.folder, env=workspace.environment(), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        while process.poll() is None and not list(
            self.folder.glob(f"checkpoints/{self.stage}-*/lock")
        ):
            time.sleep(0.01)
        return process

    def _is_unfinished(self) -> bool:
        return any(self.folder.glob(f"checkpoints/{self.stage}-*/lock"))

    def _kill(self, process: subprocess.Popen[str], way: str, rng: random.Random) -> bool:
        """Whether there was still somebody to kill."""
        if process.poll() is not None:
            return False
        if way == "a worker":
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            workers = [
                pid
                for pid in children
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
            if not workers:
                return False
            os.kill(int(rng.choice(workers)), signal.SIGKILL)
        elif way == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(getattr(signal, way))
        return True

    def _clear(self) -> None:
        self.counts.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        for out in self.outs:
            path = self.folder / out
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _counted(self) -> int:
        return sum(map(int, self.counts.read_text().split()))

    def _digest(self) -> str:
        """Of the stage's outputs: names and bytes, temporary files among them."""
        sha = hashlib.sha256()
        for out in self.outs:
            path = self.folder / out
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.is_file():
                    sha.update(f"{file.relative_to(self.folder)}".encode())
                    sha.update(file.read_bytes())
        return sha.hexdigest()


def _workers(parent: int) -> list[int]:
    """The processes of its executor."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return [pid for pid, command in commands.items() if b"spawn_main" in command]
