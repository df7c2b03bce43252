"""Shares the machine's cores between runs side by side (`dvc queue start -j 2`).

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
"""Seconds between looks for a free core; a task takes seconds."""
PATIENCE = 600.0
"""Seconds after which a run goes on without: the others have perhaps been stopped (Ctrl-Z)."""


def count() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def core_lock() -> Iterator[None]:
    """Holds one of the cores; waits while this user's workers, of any run, have them all."""
    with contextlib.ExitStack() as held:
        # a courtesy to other runs, not worth a failure where there is no room or no lock for it
        with contextlib.suppress(OSError):
            files = [held.enter_context(_open(core)) for core in sorted(os.sched_getaffinity(0))]
            deadline = time.monotonic() + PATIENCE
            while not any(_lock(file) for file in files) and time.monotonic() < deadline:
                time.sleep(POLL)
        yield


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
