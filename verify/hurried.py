"""A stage that saves its checkpoint at every chance and counts what it does, run again and again.

python -m verify.hurried STAGE COUNTS: imports the stage once and forks a process that runs it for
every line on standard input. Prints the process' id when it has started, and its exit status, which
is negative for a signal, when it has ended; a file COUNTS.err takes what it says, COUNTS a line for
every unit of work.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from wm import progress, scratch
from wm.stage import main


def hurry(counts: str) -> None:
    """Changes this process' stages: saves at every chance, and counts."""
    advance = progress.Progress.advance

    def counted(self: progress.Progress, units: int = 1, /, **numbers: float) -> Any:
        with open(counts, "a") as file:
            file.write(f"{units}\n")
        return advance(self, units, **numbers)

    progress.Progress.advance = counted  # type: ignore[method-assign]
    scratch.SAVE_EVERY = 0.0


def serve(run: Callable[[], None], errors: str) -> None:
    """A process of its own group for every line; nothing but imports has happened before."""
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with open(errors, "a") as file:
                os.dup2(file.fileno(), 2)
            try:
                main(run)
            except SystemExit as end:
                sys.stderr.flush()
                os._exit(end.code if isinstance(end.code, int) else 1)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    stage, counts = sys.argv[1:]
    hurry(counts)
    serve(importlib.import_module(f"stages.{stage}").run, f"{counts}.err")
