"""One stage run again and again in a copy of a finished workspace, its outputs compared."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

from verify import workspace


class Trial:
    """A hurried stage (verify/hurried.py); a context manager, on entering which it has run once.

    `folder` is where the copy of `finished` goes; it may be there already, and be a file system
    that is about to fill: what the trial itself writes lies beside it.
    """

    def __init__(self, finished: Path, folder: Path, stage: str) -> None:
        ignore = shutil.ignore_patterns(".git", ".dvc")
        shutil.copytree(finished, folder, ignore=ignore, dirs_exist_ok=True)
        self.folder, self.stage = folder, stage
        self.counts, self.errors = folder.with_suffix(".counts"), folder.with_suffix(".counts.err")
        self.outs = workspace.outputs(folder, stage)

    def __enter__(self) -> Trial:
        self.starter = subprocess.Popen(
            [sys.executable, "-m", "verify.hurried", self.stage, str(self.counts)],
            cwd=self.folder, env=workspace.environment(), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self.clear()
        self.start()
        started = time.monotonic()
        assert self.end() == 0, f"{self.stage} failed before anything was done to it"
        self.seconds = time.monotonic() - started
        self.expected, self.units = self.digest(), self.counted()
        return self

    def __exit__(self, *_: object) -> None:
        self.starter.kill()
        self.starter.communicate()

    def clear(self) -> None:
        """Leaves the folder as if the stage had never run."""
        self.counts.write_text("")
        self.errors.write_text("")
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        self.remove_outs()

    def remove_outs(self) -> None:
        """Removes the stage's outputs, as dvc does before it runs it."""
        workspace.remove(self.outs)

    def start(self) -> int:
        """Returns the stage's process once it holds its checkpoint, or, where it has none, once it
        has ended."""
        assert self.starter.stdin is not None
        assert self.starter.stdout is not None
        before = self._locks()
        self.starter.stdin.write("\n")
        process = int(self.starter.stdout.readline())
        while runs(process) and self._locks() == before:
            time.sleep(0.005)
        return process

    def end(self) -> int:
        """Waits for the process that was started last; returns its exit status."""
        assert self.starter.stdout is not None
        return int(self.starter.stdout.readline())

    def is_unfinished(self) -> bool:
        return bool(self._locks())

    def _locks(self) -> dict[Path, int]:
        """Returns the checkpoints' locks; a process that enters one opens its lock for writing."""
        found = {}
        for file in self.folder.glob(f"checkpoints/{self.stage}-*/lock"):
            with contextlib.suppress(FileNotFoundError):  # it has just ended
                found[file] = file.stat().st_mtime_ns
        return found

    def counted(self) -> int:
        """Returns the units of work done since clear()."""
        return sum(map(int, self.counts.read_text().split()))

    def said(self) -> str:
        """Returns what was said on standard error since clear()."""
        return self.errors.read_text()

    def digest(self) -> str:
        """Returns a digest of the stage's outputs: names and bytes."""
        sha = hashlib.sha256()
        for file in self.files():
            sha.update(f"{file.relative_to(self.folder)}".encode())
            sha.update(file.read_bytes())
        return sha.hexdigest()

    def files(self) -> list[Path]:
        """Returns the files of the stage's outputs, as many as are there."""
        found = (sorted(path.rglob("*")) if path.is_dir() else [path] for path in self.outs)
        return [file for files in found for file in files if file.is_file()]


def runs(process: int) -> bool:
    """Returns whether the process runs, and is not a zombie that its starter has yet to see."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
