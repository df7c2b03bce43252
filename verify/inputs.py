"""Input tried at large: what hypothesis makes up for the tests' properties, and atheris for the
readers (verify/fuzz.py)."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verify.workspace import ROOT

FOUND = ROOT / "build/fuzz"
"""Where an input that a reader fails on is kept, to be looked at."""
READERS = ("params.yaml", "episode", "tensors", "json", "JSON state", "torch state")


def rows(folder: Path, seconds: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields a row for all properties, and one a reader; findings are printed as they come."""
    command = [sys.executable, "-m", "pytest", "-m", "at_large", "--hypothesis-profile", "large",
               "--hypothesis-show-statistics"]  # fmt: skip
    done = _run(command)
    # "5000 passing, 0 failing, and 8 invalid test cases" of each property
    tried = re.findall(r"(\d+) passing, (\d+) failing", done.stdout)
    yield {
        "maker": "hypothesis", "of": f"{len(tried)} properties",
        "inputs": sum(int(passing) + int(failing) for passing, failing in tried),
        "findings": int(done.returncode != 0 or not tried),
    }  # fmt: skip
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed, the readers were left out: "
              "pip install -c constraints.txt '.[fuzz]'", file=sys.stderr)  # fmt: skip
        return
    FOUND.mkdir(parents=True, exist_ok=True)
    for reader in READERS:
        command = [sys.executable, "-m", "verify.fuzz", reader, str(folder / reader),
                   f"-max_total_time={seconds}", f"-seed={seed + 1}", "-max_len=65536",
                   f"-artifact_prefix={FOUND}/{reader}-", "-rss_limit_mb=4096"]  # fmt: skip
        done = _run(command)
        ended = re.search(r"Done (\d+) runs", done.stderr)
        yield {
            "maker": "atheris", "of": reader, "inputs": int(ended[1]) if ended else 0,
            "findings": int(done.returncode != 0 or not ended),
        }  # fmt: skip


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-3000:] + done.stderr[-3000:], file=sys.stderr)
    return done
