"""Runs of stages in forked processes: a start costs no import of torch.

Each is what `python -m stages.<name>` is after its imports, in the folder that is asked for.
`python -m tests.pipeline.forked_stages` takes a stage, a folder and a file for standard error as a
line of JSON each time, and answers with the exit status.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from verify.workspace import ROOT, environment


class ForkedStages:
    """The process that forks; a context manager."""

    def __init__(self, errors: Path, **env: str) -> None:
        """The file `errors` takes what a stage says; `env` changes the environment."""
        self._errors = errors
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.pipeline.forked_stages"],
            cwd=ROOT, env=environment(**env), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1,
        )  # fmt: skip

    def __enter__(self) -> ForkedStages:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def run(self, folder: Path, stage: str, check: bool = True) -> tuple[int, str]:
        """Runs a stage, by its name in dvc.yaml; returns its exit status and what it said."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps([stage, str(folder), str(self._errors)]), file=self._server.stdin)
        status, said = int(self._server.stdout.readline()), self._errors.read_text()
        assert not check or status == 0, f"{stage}\n{said}"
        return status, said


def serve() -> None:
    """Answers every line on standard input; whatever a stage imports has been imported before."""
    from verify.stage import STAGES, run_of
    from wm.runtime.entry import main

    runs = {stage: run_of(stage) for stage in STAGES}
    for line in sys.stdin:
        stage, folder, errors = json.loads(line)
        if (child := os.fork()) == 0:
            os.chdir(folder)
            with open(errors, "w") as file:
                os.dup2(file.fileno(), 2)
            status = 1
            try:
                main(runs[stage])
                status = 0
            except SystemExit as end:
                status = int(end.code or 0)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
