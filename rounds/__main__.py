"""Runs rounds after the pipeline, through DVC: python -m rounds <number of rounds>.

Writes rounds/dvc.yaml for that many and has DVC reproduce it. In git there is none: `dvc status` of
a clone that never goes so far would name all of them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from wm.core import artifacts

STAGES, PIPELINE = Path("rounds/pipeline.yaml"), Path("rounds/dvc.yaml")


def pipeline(rounds: int) -> str:
    """Returns the content of dvc.yaml for so many rounds after the pipeline's own, round 0."""
    before = ", ".join(f"'{number}': {number - 1}" for number in range(1, rounds + 1))
    variables = (
        "vars:\n"
        "  - ../params.yaml:vision\n"
        f"  - rounds: {list(range(rounds + 1))}\n"
        f"  - before: {{{before}}}\n"
        f"  - last: {rounds}\n"
    )
    return variables + STAGES.read_text(encoding="utf-8")


def main() -> int:
    """Returns DVC's exit code."""
    parser = argparse.ArgumentParser(prog="python -m rounds", description=__doc__)
    parser.add_argument("rounds", type=int, choices=range(1, 1000), metavar="rounds")
    parser.add_argument("arguments", nargs="*", help="for dvc repro")
    chosen = parser.parse_args()
    artifacts.write_bytes(PIPELINE, pipeline(chosen.rounds).encode())
    return subprocess.call(["dvc", "repro", *chosen.arguments, str(PIPELINE)])


if __name__ == "__main__":
    sys.exit(main())
