"""Resume state of an interrupted stage.

DVC deletes a stage's outputs before it runs it, so the state lives apart, in
`checkpoints/<stage>-<key>/`, where the key hashes the stage's parameters and its inputs' content:
a run with other parameters or inputs never sees it. It is removed when the stage has succeeded.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import pickle
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import torch

from wm import artifacts
from wm.errors import UserError

SAVE_EVERY = 30.0
"""Seconds between checkpoints: the most work that a kill costs."""


class Checkpoint:
    """The scratch folder of one stage's one set of parameters and inputs.

    A context manager that holds a lock: if `dvc` alone was killed, its child may still be at
    work, and a second process on the same state raises UserError.
    """

    def __init__(self, stage: str, key: Mapping[str, Any], deps: Sequence[Path | str]) -> None:
        """`key` is JSON-able; `deps` are files or folders that must exist (UserError)."""
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
        for dep in deps:
            digest.update(_content(Path(dep)))
        # dvc sets DVC_ROOT to the workspace that the user typed in, also for its temporary copies
        root = Path(os.environ.get("DVC_ROOT", "."))
        self.directory = root / "checkpoints" / f"{stage}-{digest.hexdigest()[:16]}"
        self._file = self.directory / "state.pt"
        self._lock: IO[str] | None = None
        self._before = 0.0
        self._started = self._saved = time.monotonic()

    def __enter__(self) -> Checkpoint:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.directory / "lock", "w")  # until __exit__
        except OSError as error:
            raise UserError(f"{self.directory}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise UserError(
                f"{self.directory}: another process runs this stage with the same parameters; "
                "wait for it or stop it"
            ) from None
        self._started = self._saved = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._lock is not None
        self._lock.close()

    @property
    def elapsed(self) -> float:
        """Seconds of work so far, those of earlier attempts up to their last save included."""
        return self._before + time.monotonic() - self._started

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None. Raises UserError when the file is damaged."""
        if not self._file.exists():
            return None
        try:
            saved = torch.load(self._file, weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"{self._file}: damaged ({reason}); delete {self.directory} to start again"
            ) from None
        self._before = saved["elapsed"]
        state: dict[str, Any] = saved["state"]
        return state

    def due(self) -> bool:
        """Whether SAVE_EVERY seconds have passed since the last save."""
        return time.monotonic() - self._saved >= SAVE_EVERY

    def save(self, state: Mapping[str, Any]) -> None:
        """Replaces the saved state (tensors, numbers, strings, lists and dicts) atomically."""
        buffer = io.BytesIO()
        torch.save({"state": dict(state), "elapsed": self.elapsed}, buffer)
        artifacts.write_bytes(self._file, buffer.getvalue())
        self._saved = time.monotonic()

    def clear(self) -> None:
        """Removes the folder: the stage's outputs are in place and nothing is left to resume."""
        shutil.rmtree(self.directory, ignore_errors=True)


def _content(path: Path) -> bytes:
    """A digest of a file, or of a folder's names and files."""
    if not path.exists():
        raise UserError(f"{path}: not found; run the stage that writes it")
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode())
            with open(file, "rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.digest()
