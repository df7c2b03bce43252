"""The whole pipeline at the smoke scale in a copy of the working tree, which is thrown away.

python -m verify.smoke [--record]

With --record it writes the hashes of what was made to tests/pipeline/recorded_smoke.json, which a
test holds every x86-64 machine to: for whoever has changed results on purpose.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from verify import workspace
from wm.core import artifacts, processor
from wm.runtime import entry

RECORDED = workspace.ROOT / "tests" / "pipeline" / "recorded_smoke.json"
ENCODED = "film"
"""A stage whose output is FFmpeg's, which is not held to its bytes elsewhere."""


def main() -> None:
    """Runs `dvc repro` and shows its metrics; exits with DVC's status."""
    parser = argparse.ArgumentParser(description="The whole pipeline at the smoke scale.")
    parser.add_argument("--record", action="store_true", help="the hashes, for the tests")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = workspace.copy(Path(folder))
        if arguments.record:  # as the tests run it
            workspace.set_param(directory, "threads", 1)
        for command in (["dvc", "repro"], ["dvc", "metrics", "show"]):
            if status := _status(command, directory):
                sys.exit(status)
        if arguments.record:
            record = {
                "processor": processor.name(),
                "torch": torch.__version__,
                "hashes": workspace.hashes(directory, but=ENCODED),
            }
            artifacts.write_json(RECORDED, record)


def _status(command: list[str], directory: Path) -> int:
    """Runs a command in a folder; returns its exit status."""
    with subprocess.Popen(command, cwd=directory, env=workspace.environment()) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()  # Ctrl-C reached it as well: the folder goes when it has ended
            raise


if __name__ == "__main__":
    entry.command(main)
