"""Resume state of an interrupted stage.

DVC deletes a stage's outputs before it runs it, so the state lives apart, in
`checkpoints/<stage>-<key>/`, where the key hashes the stage's parameters, its inputs' content and
the code that it has imported: a run with other parameters, inputs or layers never sees it. It is
removed when the stage has succeeded.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import torch

from wm import artifacts
from wm.errors import UserError

SAVE_EVERY = 30.0
"""Seconds between checkpoints: the most work that a kill costs."""
DIGEST_SIZE = 32
"""Of SHA-256, in bytes, before the state."""
DONE = ".done-"
"""Begins the name of a folder that is being removed."""
LIBRARIES = ("torch", "numpy", "cma", "gymnasium", "Box2D")
"""That results depend on."""


class Checkpoint:
    """The scratch folder of one stage's one set of parameters and inputs.

    A context manager that holds a lock: if `dvc` alone was killed, its child may still be at
    work, and a second process on the same state raises UserError. The folder is removed when the
    block ends without an error: its outputs are in place, and nothing is left to resume.
    """

    def __init__(self, stage: str, key: Mapping[str, Any], deps: Sequence[Path | str]) -> None:
        """`key` is JSON-able; `deps` are files or folders that must exist (UserError)."""
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
        digest.update(versions().encode())
        for file in [*_imported(), *map(Path, deps)]:
            digest.update(_content(file))
        # dvc sets DVC_ROOT to the workspace that the user typed in, also for its temporary copies
        root = Path(os.environ.get("DVC_ROOT", "."))
        self.directory = root / "checkpoints" / f"{stage}-{digest.hexdigest()[:16]}"
        self._file = self.directory / "state.pt"
        self._lock: IO[str] | None = None
        self._before = 0.0
        self._started = self._saved = time.monotonic()

    def __enter__(self) -> Checkpoint:
        # of processes that were killed while they tidied up
        for done in self.directory.parent.glob(f"{DONE}*"):
            shutil.rmtree(done, ignore_errors=True)
        while self._lock is None:
            self._lock = self._locked()
        self._started = self._saved = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._lock is not None
        if kind is None:
            with _uninterrupted():
                # in one step: half a checkpoint would be taken for one
                done = self.directory.with_name(DONE + self.directory.name)
                self.directory.rename(done)
                shutil.rmtree(done, ignore_errors=True)
        self._lock.close()
        self._lock = None

    def _locked(self) -> IO[str] | None:
        """The folder's lock, or None if its holder has just removed the folder."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = open(self.directory / "lock", "w")  # noqa: SIM115 until __exit__
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UserError(f"{self.directory}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(lock.name)):
                return lock
        except BlockingIOError:
            lock.close()
            raise UserError(
                f"{self.directory}: another process runs this stage with the same parameters; "
                "wait for it or stop it"
            ) from None
        except FileNotFoundError:
            pass
        lock.close()
        return None

    @property
    def elapsed(self) -> float:
        """Seconds of work so far, those of earlier attempts up to their last save included."""
        return self._before + time.monotonic() - self._started

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None. Raises UserError when the file is damaged."""
        if not self._file.exists():
            return None
        content = self._file.read_bytes()
        digest, body = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
        damaged = UserError(f"{self._file}: damaged; delete it and run the stage again")
        if hashlib.sha256(body).digest() != digest:
            raise damaged
        try:
            saved = torch.load(io.BytesIO(body), weights_only=True)
            state: dict[str, Any] = saved["state"]
            self._before = float(saved["elapsed"])
        except MemoryError:
            raise
        except Exception:  # whatever torch's reader makes of bytes whose digest another computed
            raise damaged from None
        return state

    def due(self) -> bool:
        """Whether SAVE_EVERY seconds have passed since the last save."""
        return time.monotonic() - self._saved >= SAVE_EVERY

    def save(self, state: Mapping[str, Any]) -> None:
        """Replaces the saved state (tensors, numbers, strings, lists and dicts) atomically."""
        buffer = io.BytesIO()
        torch.save({"state": dict(state), "elapsed": self.elapsed}, buffer)
        body = buffer.getvalue()
        artifacts.write_bytes(self._file, hashlib.sha256(body).digest() + body)
        self._saved = time.monotonic()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Drops Ctrl-C and SIGTERM, which would have finished work be done again."""
    handlers = {
        name: signal.signal(name, signal.SIG_IGN) for name in (signal.SIGINT, signal.SIGTERM)
    }
    yield
    for name, handler in handlers.items():
        signal.signal(name, handler)


def versions() -> str:
    """Of LIBRARIES, as this process has them."""
    found = []
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # under another name
            found.append(f"{name}={importlib.metadata.version(name)}")
    return " ".join(found)


def _imported() -> list[Path]:
    """The files of this package and of the stage: what dvc.yaml names as its code."""
    packages = (__name__.partition(".")[0], "stages", "__main__")
    files = [getattr(m, "__file__", None) for name, m in sys.modules.items()
             if name.partition(".")[0] in packages]  # fmt: skip
    return sorted({Path(file).resolve() for file in files if file})


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
