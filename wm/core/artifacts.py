"""Files that are whole or absent, and byte-identical for identical content.

Everything is written to a temporary name in the same folder and renamed into place. Arrays are
safetensors, which hold no code, with a digest of their content: a file that was cut short or in
which a single bit has changed is noticed when it is read.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as save_safetensors

from wm.core.errors import UserError

DIGEST = "sha256"
"""The key of the digest in a file's metadata."""


def write_bytes(path: Path | str, content: bytes) -> None:
    """Writes `content` to `path` atomically. Raises UserError when the disk or folder refuses."""
    path = Path(path)
    # workers on several machines may write the same file, and have the same process number
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); nothing changed") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path | str, content: Any) -> None:
    """Writes JSON with one key a line. NaN and infinity have no place in it: UserError."""
    if not_finite := first_not_finite(content):
        raise UserError(f"{path}: '{not_finite}' is not a finite number; the file is as it was")
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def first_not_finite(content: Any) -> str | None:
    """Returns where a number that is NaN or infinite stands in nested mappings and sequences, as
    "key.key"; None if there is none."""
    if isinstance(content, Mapping):
        items = list(content.items())
    elif isinstance(content, list | tuple):
        items = list(enumerate(content))
    else:
        return None
    for key, value in items:
        if isinstance(value, float) and not math.isfinite(value):
            return str(key)
        if (inner := first_not_finite(value)) is not None:
            return f"{key}.{inner}"
    return None


def read_json(path: Path | str) -> Any:
    """Returns what a JSON file holds; UserError when it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the stage that writes it") from None
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: not valid JSON ({error}); delete it and run its stage again"
        ) from None


def write_csv(path: Path | str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows under all their keys, in order of appearance; a key that a row lacks is empty."""
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def digest(tensors: Mapping[str, np.ndarray], facts: str = "") -> str:
    """Returns the SHA-256 of arrays (names, types, shapes and values) and of `facts`, as hex."""
    sha = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(array.data)
    return sha.hexdigest()


def save_tensors(path: Path | str, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as one safetensors file (C order, sorted by name) with their digest."""
    write_tensors(path, tensors, (DIGEST, digest(tensors)))


def write_tensors(
    path: Path | str, tensors: Mapping[str, np.ndarray], metadata: tuple[str, str]
) -> None:
    """Writes arrays as `save_tensors` does, for a caller that checks the content by itself.

    `metadata` is one key and its value: safetensors writes several in an order that differs from
    run to run.
    """
    arrays = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
    write_bytes(path, save_safetensors(arrays, dict([metadata])))


def open_tensors(path: Path | str) -> safe_open:
    """Returns an open safetensors file; raises OSError where it cannot be opened, SafetensorError
    where it is none."""
    try:
        return safe_open(path, framework="numpy")
    except FileNotFoundError:  # which safetensors says of whatever it cannot open
        open(path, "rb").close()
        raise


def load_tensors(path: Path | str) -> dict[str, np.ndarray]:
    """Returns the arrays of a file of save_tensors; UserError when it is missing, cannot be read,
    is cut short or damaged, or holds a number that is not finite."""
    try:
        with open_tensors(path) as file:
            stored = (file.metadata() or {})[DIGEST]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the stage that writes it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: damaged or cut short ({error}); delete it and run its stage again"
        ) from None
    if stored != digest(tensors):
        raise UserError(
            f"{path}: damaged (its content is not what was written); delete it and run its stage "
            "again"
        )
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise UserError(f"{path}: '{name}' holds NaN or infinity; run its stage again")
    return tensors


def link(path: Path, other: Path) -> None:
    """Gives a file a second name, or a copy where that is on another file system."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)


@contextlib.contextmanager
def publish(directory: Path | str) -> Iterator[Path]:
    """Yields a temporary folder that becomes `directory` when the block ends without an error.

    An older `directory` stays in place until then and is replaced whole; after an error nothing
    has changed. What a process that was killed in the middle left behind is removed.
    """
    directory = Path(directory)
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    old = temporary.with_suffix(".old")
    try:
        for stale in directory.parent.glob(f".{directory.name}.*.*"):
            if not _is_running(stale.suffixes[-2:-1]):
                _remove(stale)
        temporary.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{directory}: cannot be written ({error.strerror or error})") from None
    try:
        yield temporary
        try:
            if os.path.lexists(directory):  # a link that leads nowhere is in the way too
                os.replace(directory, old)
            os.replace(temporary, directory)
        except BaseException:  # Ctrl-C too, which comes when a rename is done
            if os.path.lexists(old) and not os.path.lexists(directory):
                os.replace(old, directory)
            raise
    finally:
        for leftover in (temporary, old):
            with contextlib.suppress(OSError):
                _remove(leftover)


def _remove(folder: Path) -> None:
    """Removes a folder, or what is a link to one."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def _is_running(suffix: list[str]) -> bool:
    """Returns whether the other process runs whose number is the one suffix, as in [".123"]."""
    number = "".join(suffix).removeprefix(".")
    if not number.isdecimal() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
