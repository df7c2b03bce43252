"""Moments at which a second Ctrl-C would do harm."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignores Ctrl-C and SIGTERM in the block. No other thread than the main one is interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {
        name: signal.signal(name, signal.SIG_IGN) for name in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)
