"""A headless Chromium, for tests and measurements of pages: the system's own.

Playwright drives it; it downloads no browser of its own here. On Debian: apt-get install chromium.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def missing() -> str:
    """Returns what is missing, "" if nothing is."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "no playwright in the environment: pip install -c constraints.txt '.[dev]'"
    return "" if _path() else "no Chromium on PATH: apt-get install chromium"


@contextlib.contextmanager
def chromium(*options: str) -> Iterator[Any]:
    """Yields Playwright's Browser; `options` are Chromium's."""
    from playwright.sync_api import sync_playwright

    if os.geteuid() == 0:  # Chromium's sandbox refuses root
        options = ("--no-sandbox", *options)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_path(), args=list(options))
        yield browser
        browser.close()


def _path() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)
