"""Shares the machine's cores between runs side by side (`dvc queue start -j 2`).

Each run has a worker a core; a core is a file that whoever works holds locked. The lock goes with
its process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

POLL = 0.02
"""Seconds between looks for a free core; a task takes seconds."""
NOTICE = 30.0
"""Seconds of waiting after which a process says what it waits for."""
PATIENCE = 600.0
"""Seconds after which a process waits no more: the others have perhaps been stopped (Ctrl-Z)."""

_patient = True  # until this process has waited that long, once


def usable() -> list[int]:
    """Returns the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))  # macOS does not say


def count() -> int:
    """Returns the number of cores that this process may use."""
    return len(usable())


@contextlib.contextmanager
def core_lock() -> Iterator[None]:
    """Holds one of the cores; waits while this user's workers, of any run, have them all.

    A process that has waited PATIENCE seconds for one goes on without, and never waits again.
    """
    with contextlib.ExitStack() as held:
        # a courtesy to other runs, not worth a failure where there is no room or no lock for it
        with contextlib.suppress(OSError):
            _acquire([held.enter_context(_open(core)) for core in usable()])
        yield


def _acquire(files: list[int]) -> None:
    global _patient
    started, told = time.monotonic(), False
    while not any(_lock(file) for file in files) and _patient:
        waited = time.monotonic() - started
        if waited >= PATIENCE:
            _patient = False
        elif waited >= NOTICE and not told:
            told = True
            print(
                f"worker {os.getpid()}: workers of yours hold all cores, of this run or another; "
                f"it waits up to {PATIENCE:.0f} s and then goes on without",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(POLL)


@contextlib.contextmanager
def _open(core: int) -> Iterator[int]:
    folder = Path(tempfile.gettempdir()) / f"world-models-cores-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(folder / str(core), flags, 0o600)
    try:
        yield file
    finally:
        os.close(file)  # and with it the lock


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
