"""How stages and commands start and how they fail: one readable line and exit code 1."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from wm.core.errors import UserError
from wm.runtime import dvc, stderr

TRACEBACK = "WM_TRACEBACK"
"""Environment variable that, if it is not empty, has errors end in a traceback: for developers."""


def main(run: Callable[[], None]) -> None:
    """Runs a stage to its end.

    A UserError, and what the system refuses (a full disk, a folder that is read-only, no memory),
    become one line on stderr and exit code 1; Ctrl-C and SIGTERM say that the next run resumes, if
    the stage is long enough to have a checkpoint. The line ends in how to bring back committed
    outputs, where DVC has deleted them. That stderr is closed or full ends nothing.
    """
    stderr.secure()
    # SIGTERM unwinds like Ctrl-C, so that worker processes and temporary files are cleaned up
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        dvc.refuse_links()
        run()
        _ignore_signals()  # an exit code other than 0 would have dvc run a finished stage again
    except UserError as error:
        if os.environ.get(TRACEBACK):
            raise
        print(f"error: {error}{dvc.way_back()}", file=sys.stderr)
        raise SystemExit(1) from None
    except (OSError, MemoryError, RuntimeError) as error:
        if os.environ.get(TRACEBACK) or _is_a_mistake(error):
            raise
        print(
            f"error: {_reason(error)}; mend it and run it again: long stages resume"
            f"{dvc.way_back()}",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _ignore_signals()  # a second Ctrl-C would end in a traceback
        print(f"interrupted: run it again, long stages resume{dvc.way_back()}", file=sys.stderr)
        raise SystemExit(130) from None


def command(run: Callable[[], None]) -> None:
    """Runs what people type besides stages: a UserError, and what the system refuses, become one
    line on stderr and exit code 1; Ctrl-C ends it without a word."""
    try:
        run()
    except (UserError, OSError, MemoryError, RuntimeError) as error:
        if os.environ.get(TRACEBACK) or _is_a_mistake(error):
            raise
        sys.exit(f"error: {_reason(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


def _ignore_signals() -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


def _is_a_mistake(error: Exception) -> bool:
    """Whether an error is our own, whose traceback is what is needed: a RuntimeError that is not
    torch's for want of memory."""
    # by name: torch, whose class it is, is not imported for a stage that has none of it; on a CPU
    # torch has no class for it
    if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return False
    return isinstance(error, RuntimeError)


def _reason(error: Exception) -> str:
    """Returns what an error says, in one line."""
    nothing_said = "out of memory" if isinstance(error, MemoryError) else type(error).__name__
    return " ".join(str(error).split()) or nothing_said
