"""A stage that saves its checkpoint at every chance and counts what it does.

python -m verify.hurried STAGE COUNTS: a line in the file COUNTS for every unit of work.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from wm import progress, scratch
from wm.stage import main


def hurry(stage: str, counts: str) -> None:
    """Runs `stage` in this process."""
    advance = progress.Progress.advance

    def counted(self: progress.Progress, units: int = 1, /, **numbers: float) -> Any:
        with open(counts, "a") as file:
            file.write(f"{units}\n")
        return advance(self, units, **numbers)

    progress.Progress.advance = counted  # type: ignore[method-assign]
    scratch.SAVE_EVERY = 0.0
    main(importlib.import_module(f"stages.{stage}").run)


if __name__ == "__main__":
    hurry(*sys.argv[1:])
