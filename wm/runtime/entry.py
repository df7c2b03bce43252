"""How every stage starts and how it fails: one readable line and exit code 1."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from wm.core.errors import UserError

TRACEBACK = "WM_TRACEBACK"
"""Environment variable that, if it is not empty, has errors end in a traceback: for developers."""


def main(run: Callable[[], None]) -> None:
    """Runs a stage to its end.

    A UserError, and what the system refuses (a full disk, a folder that is read-only, no memory),
    become one line on stderr and exit code 1; Ctrl-C and SIGTERM say that the next run resumes.
    """
    # SIGTERM unwinds like Ctrl-C, so that worker processes and temporary files are cleaned up
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run()
        # too late: an exit code other than 0 would have dvc run a finished stage again
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)
    except UserError as error:
        if os.environ.get(TRACEBACK):
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except (OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
            raise  # a mistake of ours: its traceback is what is needed
        if os.environ.get(TRACEBACK):
            raise
        reason = " ".join(str(error).split()) or "out of memory"
        print(f"error: {reason}; mend it and run it again: it resumes", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted: run it again and it resumes", file=sys.stderr)
        raise SystemExit(130) from None


def _is_out_of_memory(error: RuntimeError) -> bool:
    # by name: torch, whose class it is, is not imported for a stage that has none of it; on a CPU
    # torch has no class for it
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
