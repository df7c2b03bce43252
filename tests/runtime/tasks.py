"""What a cluster's workers are given to do in tests: they import it by its name."""

import os
import signal
import time
from pathlib import Path

from wm.core.errors import UserError


def build() -> list[int]:
    return []


def square(context: list[int], item: int) -> tuple[int, int, int, str]:
    context.append(item)
    time.sleep(0.05)
    return item * item, os.getpid(), len(context), os.getcwd()


def mark(context: list[int], item: tuple[str, int]) -> int:
    """Says that it has begun, and takes its time."""
    folder, number = item
    (Path(folder) / f"{number}-{os.getpid()}").touch()
    time.sleep(0.3)
    return number


def refuse(context: list[int], item: int) -> None:
    raise UserError("models/rnn: not found")


def die(context: list[int], item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(context: list[int], number: int) -> None:
    raise OSError(number, os.strerror(number))
