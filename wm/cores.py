"""Turns at the machine's cores, so that runs side by side (`dvc queue start -j 2`) share them.

Each run has a worker a core; a core is a file that whoever works holds locked. The lock goes with
its process, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

POLL = 0.02
"""Seconds between looks for a free core; a turn takes seconds."""


def count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Holds one of the cores; waits while this user's workers, of any run, have them all."""
    folder = Path(tempfile.gettempdir()) / f"world-models-cores-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        cores = sorted(os.sched_getaffinity(0))
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        files = [os.open(folder / str(core), flags, 0o600) for core in cores]
    except OSError:  # a courtesy to other runs, not worth a failure where there is no room for it
        files = []
    try:
        while files and not any(_lock(file) for file in files):
            time.sleep(POLL)
        yield
    finally:
        for file in files:
            os.close(file)  # and with it the lock


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
