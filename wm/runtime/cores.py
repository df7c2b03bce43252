"""Shares the machine's cores between runs side by side (`dvc queue start -j 2`).

Each run has a worker a core; a core is a file that whoever works holds locked. The lock goes with
its process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
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

CGROUPS = Path("/sys/fs/cgroup")
QUOTA = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""Where the kernel says how much CPU time a container has in how long a time: version 2, 1."""

_patient = True  # until this process has waited that long, once


def usable() -> list[int]:
    """Returns the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))  # macOS does not say


def count() -> int:
    """Returns the number of cores that this process may use: of a container whose CPU time is
    limited, as many as it has time for."""
    cores = len(usable())
    for files in QUOTA:
        try:
            limit, period = " ".join((CGROUPS / name).read_text() for name in files).split()
            if int(limit) > 0:
                return min(cores, math.ceil(int(limit) / int(period)))
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
    return cores


@contextlib.contextmanager
def core_lock() -> Iterator[None]:
    """Holds one of the cores; waits while this user's workers, of any run, have them all.

    A process that has waited PATIENCE seconds for one goes on without, and never waits again.
    """
    held = None
    # a courtesy to other runs, not worth a failure where there is no room or no lock for it
    with contextlib.suppress(OSError):
        held = _acquire()
    try:
        yield
    finally:
        if held is not None:
            os.close(held)  # and with it the lock


def _acquire() -> int | None:
    """Returns a file that is open and locked; None after a wait that was too long."""
    global _patient
    started, told = time.monotonic(), False
    shared = usable()[: count()]  # of a container that may use two of 64, two
    while True:
        for core in shared:
            if (file := _locked(core)) is not None:
                return file
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
        if not _patient:
            return None
        time.sleep(POLL)


def _locked(core: int) -> int | None:
    """Returns the core's file, open and locked; None where another process holds it."""
    folder = Path(tempfile.gettempdir()) / f"world-models-cores-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(folder / str(core), flags, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return file
