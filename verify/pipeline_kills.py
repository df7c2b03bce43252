"""The whole pipeline killed at random moments, dvc and all that it has started, and run again."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verify import workspace

COMMANDS = {
    "dvc repro": ["dvc", "repro"],
    "dvc exp run --temp": ["dvc", "exp", "run", "--temp"],
}
SIGNALS = {"SIGKILL": signal.SIGKILL, "Ctrl-C": signal.SIGINT}
AUTHOR = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
IDENTITY = dict.fromkeys(AUTHOR, "verify@example.org")


def rows(folder: Path, moments: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields a row a command and signal: how often the outcome of running it again differed."""
    rng = random.Random(seed)
    clean = workspace.copy(folder / "clean")
    for command in (["add", "-A"], ["commit", "-qm", "clean"]):
        subprocess.run(["git", *command], cwd=clean, env=_environment(), check=True)
    whole = Path(shutil.copytree(clean, folder / "whole"))
    started = time.monotonic()
    workspace.dvc(whole, "repro")
    seconds, expected = time.monotonic() - started, workspace.hashes(whole)
    for name, command in COMMANDS.items():
        for way, number in SIGNALS.items():
            killed = different = 0
            for moment in range(moments):
                trial = Path(shutil.copytree(clean, folder / f"{name} {way} {moment}"))
                killed += _kill(trial, command, rng.uniform(0, seconds), number)
                again = _start(trial, command)
                if again.wait() == 0 and "--temp" in command:
                    names = workspace.dvc(trial, "exp", "list", "--name-only").split()
                    workspace.dvc(trial, "exp", "apply", names[0], env=IDENTITY)
                different += again.returncode != 0 or workspace.hashes(trial) != expected
            yield {
                "command": name, "way": way, "moments": moments, "killed_at_work": killed,
                "different": different,
            }  # fmt: skip


def _environment() -> dict[str, str]:
    return workspace.environment(**IDENTITY)


def _start(folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=folder, env=_environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def _kill(folder: Path, command: list[str], after: float, number: signal.Signals) -> bool:
    """Kills the command `after` so many seconds; returns whether it was still running."""
    process = _start(folder, command)
    time.sleep(after)
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, number)
    process.wait()
    while _group_lives(process.pid):  # a stage that unwinds holds its checkpoint's lock
        time.sleep(0.05)
    return alive


def _group_lives(group: int) -> bool:
    """Returns whether a process of the group runs: one that is a zombie does not, which in a
    container may stay for ever."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            state, _, its_group, *_ = stat.read_text().rsplit(")", 1)[1].split()
            if int(its_group) == group and state != "Z":
                return True
    return False
