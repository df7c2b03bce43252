"""Standard error that may be closed, on a full disk or without a reader, and ends no work."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class _Lossy(io.FileIO):
    """A file whose writes never fail: what it cannot take is lost."""

    def write(self, content: Any) -> int:
        written = None  # also of a pipe that is full and does not block
        with contextlib.suppress(OSError):
            written = super().write(content)
        return memoryview(content).nbytes if written is None else written


def secure() -> None:
    """Lets what is printed on stderr be lost where it cannot be shown; by itself it would raise.

    Where stdin, stdout or stderr is closed, /dev/null takes its place: the next file that is opened
    would, and have in it what libraries and worker processes print.
    """
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(null, True)
    os.close(null)
    real = sys.__stderr__
    if real is None:
        sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 to the process' end
    elif sys.stderr is real:
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Lossy(real.fileno(), "w", closefd=False)),
            encoding=real.encoding,
            errors=real.errors,
            line_buffering=True,
        )
