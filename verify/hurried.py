"""A stage that saves its checkpoint at every chance and counts what it does, run again and again.

python -m verify.hurried STAGE COUNTS imports the stage, by its name in dvc.yaml, once and forks a
process that runs it for every line on standard input. It prints the process' id when that has
started, and its exit status, which is negative for a signal, when it has ended; a file COUNTS.err
takes what it says, COUNTS a line for every unit of work.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from verify.stage import run_of
from wm.runtime import checkpoint, progress
from wm.runtime.entry import main


def hurry(counts: str) -> None:
    """Makes the stages of this process save at every chance, and count."""
    advance = progress.Progress.advance

    def counted(self: progress.Progress, units: int = 1, /, **numbers: float) -> Any:
        with open(counts, "a") as file:
            file.write(f"{units}\n")
        return advance(self, units, **numbers)

    progress.Progress.advance = counted  # type: ignore[method-assign]
    checkpoint.SAVE_EVERY = 0.0


def serve(run: Callable[[], None], errors: str) -> None:
    """Runs `run` in a process of its own group for every line; nothing but imports has happened
    before."""
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
    serve(run_of(stage), f"{counts}.err")
