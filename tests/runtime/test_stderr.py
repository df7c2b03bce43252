import os
import subprocess
import sys
from pathlib import Path

import pytest

from verify.workspace import ROOT

STAGE = """
import sys, warnings
from wm.core.errors import UserError
from wm.runtime.entry import main
from wm.runtime.progress import Progress

def run():
    with Progress("collect", 2, "episodes") as progress, open("output", "w") as output:
        progress.advance()
        warnings.warn("of a library")
        print("a notice", file=sys.stderr)
        progress.advance()
        output.write(f"done {output.fileno()}")
    if sys.argv[1:]:
        raise UserError("a fault")

main(run)
"""


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "2>&1 | true", "<&- >&- 2>&-"])
@pytest.mark.parametrize("fails", [False, True])
def test_what_cannot_be_shown_ends_no_work(where: str, fails: bool, tmp_path: Path) -> None:
    """Neither in the middle nor at the end, where Python flushes what it has left."""
    arguments = [sys.executable, "-c", STAGE, *["fail"] * fails]
    command = f'"$0" "$@" {where}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command, *arguments],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == fails
    word, number = (tmp_path / "output").read_text().split()
    assert word == "done"
    assert int(number) > 2  # or what libraries print would be in it


def test_what_can_be_shown_is_shown(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STAGE, "fail"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert "a notice" in lines
    assert lines[-2].startswith("collect: 2/2 episodes")
    assert lines[-1] == "error: a fault"
