"""Runs rounds after the pipeline, through DVC: python -m rounds <number of rounds>.

Writes rounds/dvc.yaml for that many and has DVC reproduce it. In git there is none: `dvc status` of
a clone that never goes so far would name all of them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from wm.core import artifacts
from wm.runtime.entry import command

MOST = 999
"""The most rounds that one can ask for."""
STAGES, PIPELINE = Path("rounds/pipeline.yaml"), Path("rounds/dvc.yaml")


def pipeline(rounds: int) -> str:
    """Returns the content of dvc.yaml for so many rounds after round 0."""
    before = ", ".join(f"'{number}': {number - 1}" for number in range(1, rounds + 1))
    variables = (
        "vars:\n"
        "  - ../params.yaml:vision,scale\n"
        f"  - rounds: {list(range(rounds + 1))}\n"
        f"  - before: {{{before}}}\n"
        f"  - last: {rounds}\n"
    )
    return variables + STAGES.read_text(encoding="utf-8")


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text}: rounds are 1 to {MOST}")
    return int(text)


def main() -> None:
    """Becomes DVC, so that Ctrl-C reaches nothing besides DVC and its stage."""
    parser = argparse.ArgumentParser(prog="python -m rounds", description=__doc__)
    parser.add_argument("rounds", type=_number, help=f"1 to {MOST}")
    chosen = parser.parse_args()
    artifacts.write_bytes(PIPELINE, pipeline(chosen.rounds).encode())
    # the stages' `python` is this one, whether its environment is activated or not
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.execv(sys.executable, [sys.executable, "-m", "dvc", "repro", str(PIPELINE)])


if __name__ == "__main__":
    command(main)
