"""Resume state of an interrupted stage.

DVC deletes a stage's outputs before it runs it, so the state lives apart, in
`checkpoints/<stage>-<key>/`. The key hashes the stage's parameters, its inputs' content and the
code that it has imported, but for this room, which changes no result; and the processor, where
another kind computes other bytes: a run with other parameters, inputs or layers never sees the
state. It is removed when the stage has succeeded, unless another process waits for it
(`dvc queue start -j 2`): that one finishes at once with the last state.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from wm.core import artifacts, processor
from wm.core.errors import UserError
from wm.runtime.signals import uninterrupted

SAVE_EVERY = 30.0
"""Seconds between checkpoints: the most work that a kill costs."""
POLL = 1.0
"""Seconds between looks at whether the process that holds the state has ended."""
SAY_EVERY = 600.0
"""Seconds of waiting after which it is said again."""
DIGEST_SIZE = 32
"""Bytes of the SHA-256 that stands before the state."""
DONE = ".done-"
"""Beginning of the name of a folder that is being removed."""
LIBRARIES = (
    "torch",
    "torchmetrics",
    "numpy",
    "cma",
    "gymnasium",
    "Box2D",
    "pygame-ce",
    "opencv-python-headless",
    "numba",
    "zstandard",
    "safetensors",
)
"""Libraries that results depend on."""
FORMAT = 1
"""Version of what a state holds and of how it is stored: it is part of the key."""
RUNTIME = Path(__file__).resolve().parent
"""The room whose code is no part of the key."""


class Serializer(Protocol):
    """A way to store a state."""

    def dumps(self, state: Mapping[str, Any]) -> bytes:
        """Returns a state as bytes."""

    def loads(self, content: bytes) -> Any:
        """Returns what `dumps` was given; raises any exception for other bytes."""


class JsonSerializer:
    """Stores numbers, strings, lists and dicts with string keys; floats keep every bit."""

    def dumps(self, state: Mapping[str, Any]) -> bytes:
        """Returns a state as JSON."""
        return json.dumps(state).encode()

    def loads(self, content: bytes) -> Any:
        """Returns the state that JSON holds."""
        return json.loads(content)


class Checkpoint:
    """The folder that holds the resume state of a stage with one set of parameters and inputs.

    A context manager that holds a lock: two experiments may need the same stage, and if `dvc` alone
    was killed, its child may still be at work. A second process waits until the first has ended,
    however that was, and goes on with its last state. The folder is removed when the block ends
    without an error and nobody waits: its outputs are in place, and nothing is left to resume.
    """

    def __init__(
        self,
        stage: str,
        key: Mapping[str, Any],
        deps: Sequence[Path | str],
        serializer: Serializer | None = None,
    ) -> None:
        """`key` holds what JSON can, `precision` and `device` among it where they count; `deps` are
        files or folders that must exist (UserError).

        States are stored by `serializer`, by default as JSON.
        """
        self._serializer = serializer or JsonSerializer()
        digest = hashlib.sha256(json.dumps(key).encode())  # phases of a search have an order
        digest.update(f"{FORMAT} {versions()} {_processor(key)}".encode())
        for file in [*_imported(), *map(Path, deps)]:
            digest.update(_content(file))
        # dvc sets DVC_ROOT to the workspace that the user typed in, also for its temporary copies
        root = Path(os.environ.get("DVC_ROOT", "."))
        self.directory = root / "checkpoints" / f"{stage}-{digest.hexdigest()[:16]}"
        self._file = self.directory / "state"
        self._lock: IO[str] | None = None
        self._before = 0.0
        self._started = self._saved = time.monotonic()

    def __enter__(self) -> Checkpoint:
        # of processes that were killed while they tidied up
        for done in self.directory.parent.glob(f"{DONE}*"):
            shutil.rmtree(done, ignore_errors=True)
        with contextlib.ExitStack() as waiting:
            say_at = time.monotonic()
            while self._lock is None:
                try:
                    self._lock = self._locked()
                except BlockingIOError:
                    if time.monotonic() >= say_at:
                        say_at += SAY_EVERY
                        print(
                            f"notice: {self.directory}: another process runs this stage with the "
                            "same parameters; waiting for it, Ctrl-C ends the wait",
                            file=sys.stderr,
                            flush=True,
                        )
                        # the folder is just being removed; NFS shares no lock of a file that is
                        # not open for reading
                        with contextlib.suppress(OSError):
                            file = waiting.enter_context(open(self.directory / "waiting", "a+"))
                            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    time.sleep(POLL)
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
            with uninterrupted():  # dying now would make DVC repeat a finished stage
                if not self._is_awaited():
                    # in one step: half a checkpoint would be taken for one
                    done = self.directory.with_name(DONE + self.directory.name)
                    try:
                        self.directory.rename(done)
                    except OSError as error:  # worth less than what the stage has made
                        print(
                            f"notice: {self.directory}: cannot be removed: {error.strerror}",
                            file=sys.stderr,
                        )
                    shutil.rmtree(done, ignore_errors=True)
        self._lock.close()
        self._lock = None

    def _locked(self) -> IO[str] | None:
        """Returns the folder's lock, or None if its holder has just removed the folder.

        Raises BlockingIOError while another process holds it.
        """
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
            raise
        except FileNotFoundError:
            pass
        except OSError as error:
            lock.close()
            raise UserError(
                f"{lock.name}: cannot be locked ({error.strerror}); put the checkout on a file "
                "system that has flock"
            ) from None
        lock.close()
        return None

    def _is_awaited(self) -> bool:
        try:
            with open(self.directory / "waiting", "r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # or nobody has ever waited
            return isinstance(error, BlockingIOError)
        return False

    def elapsed(self) -> float:
        """Returns the seconds of work so far, those of earlier attempts up to their last save
        included."""
        return self._before + time.monotonic() - self._started

    def load(self) -> dict[str, Any] | None:
        """Returns the last saved state, or None. Raises UserError when the file is damaged."""

        if not self._file.exists():
            return None
        content = self._file.read_bytes()
        digest, body = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
        damaged = UserError(f"{self._file}: damaged; delete it and run the stage again")
        if hashlib.sha256(body).digest() != digest:
            raise damaged
        try:
            saved = self._serializer.loads(body)
            state: dict[str, Any] = saved["state"]
            self._before = float(saved["elapsed"])
        except MemoryError:
            raise
        except Exception:  # whatever a reader makes of bytes whose digest another computed
            raise damaged from None
        return state

    def due(self) -> bool:
        """Returns whether SAVE_EVERY seconds have passed since the last save."""
        return time.monotonic() - self._saved >= SAVE_EVERY

    def save(self, state: Mapping[str, Any]) -> None:
        """Replaces the saved state, of what the serializer can hold, atomically."""
        body = self._serializer.dumps({"state": dict(state), "elapsed": self.elapsed()})
        artifacts.write_bytes(self._file, hashlib.sha256(body).digest() + body)
        self._saved = time.monotonic()


def versions() -> str:
    """Returns the versions of LIBRARIES that this process has, as one line."""
    found = []
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # under another name
            found.append(f"{name}={importlib.metadata.version(name)}")
    return " ".join(found)


def _processor(key: Mapping[str, Any]) -> str:
    """Returns the processors, or the GPU, that compute the same bytes as this one in the precision
    and on the device of `key`."""
    if key.get("device", "cpu") != "cpu":
        torch: Any = sys.modules["torch"]  # such a stage has imported it; others are spared it
        return str(torch.cuda.get_device_name())
    return processor.kind(key.get("precision", "fp32"))


def _imported() -> list[Path]:
    """Returns the imported files of this package, the stages and the rounds, without this room."""
    packages = (__name__.partition(".")[0], "stages", "rounds", "__main__")
    files = [getattr(module, "__file__", None) for name, module in sys.modules.items()
             if name.partition(".")[0] in packages]  # fmt: skip
    paths = {Path(file).resolve() for file in files if file}
    return sorted(path for path in paths if not path.is_relative_to(RUNTIME))


def _content(path: Path) -> bytes:
    """Returns a digest of a file, or of a folder's names and files."""
    if not path.exists():
        raise UserError(f"{path}: not found; run the stage that writes it")
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.relative_to(path).as_posix().encode())
            with open(file, "rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.digest()
