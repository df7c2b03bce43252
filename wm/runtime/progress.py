"""Progress of long work: a bar on a terminal, a plain line every so often elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

PLAIN_EVERY = 30.0
"""Seconds between lines where there is no terminal."""


class Progress:
    """Counts `total` units of work; shows the rate, the time left and the latest numbers."""

    def __init__(self, title: str, total: int, unit: str, done: int = 0) -> None:
        """Starts at `done` units, which an earlier attempt finished and which count in no rate."""
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=title,
            unit=unit,
            dynamic_ncols=True,
            disable=not self._terminal,
        )
        self._title, self._total, self._unit = title, total, unit
        self._done, self._resumed = done, done
        self._started = self._printed = time.monotonic()
        self._numbers = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
        if not self._terminal:
            self._print(over=kind is None)

    def advance(self, units: int = 1, /, **numbers: float) -> None:
        """Adds `units` to what is done; `numbers` (if any) replace the ones shown."""
        self._done += units
        if numbers:
            self._numbers = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            self._bar.set_postfix_str(self._numbers, refresh=False)
        self._bar.update(units)
        if not self._terminal and time.monotonic() - self._printed >= PLAIN_EVERY:
            self._print()

    def _print(self, over: bool = False) -> None:
        self._printed = time.monotonic()
        rate = (self._done - self._resumed) / max(self._printed - self._started, 1e-9)
        line = f"{self._title}: {self._done}/{self._total} {self._unit}"
        if rate:  # none before this attempt has done anything
            pace = f"{1 / rate:.1f} s each" if rate < 1 else f"{rate:.1f}/s"
            line += f", {pace}"
            if not over:  # which may be before the total: an episode that ends early
                line += f", {(self._total - self._done) / rate:.0f} s left"
        print(f"{line}  {self._numbers}".rstrip(), file=sys.stderr, flush=True)
