"""Files that are whole or absent, and byte-identical for identical content.

Everything is written to a temporary name in the same folder and renamed into place. Arrays are
safetensors: no pickle, and a file cut short is noticed when it is opened.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from wm.errors import UserError


def write_bytes(path: Path | str, content: bytes) -> None:
    """Writes `content` to `path` atomically. Raises UserError when the disk or folder refuses."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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
    """Writes JSON with one key a line. NaN and infinity have no place in JSON: ValueError."""
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path | str) -> Any:
    """Reads a JSON file; UserError when it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the stage that writes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
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


def save_tensors(
    path: Path | str, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes arrays as one safetensors file (C order, sorted by name)."""
    arrays = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
    write_bytes(path, save_safetensors(arrays, dict(metadata) if metadata else None))


def load_tensors(path: Path | str) -> dict[str, np.ndarray]:
    """Reads a safetensors file; UserError when it is missing, cut short or not safetensors."""
    try:
        return load_safetensors(Path(path).read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run the stage that writes it") from None
    except SafetensorError as error:
        raise UserError(
            f"{path}: damaged or cut short ({error}); delete it and run its stage again"
        ) from None


@contextlib.contextmanager
def publish(directory: Path | str) -> Iterator[Path]:
    """Gives a temporary folder that becomes `directory` when the block ends without an error.

    An older `directory` stays in place until then and is replaced whole; after an error nothing
    has changed.
    """
    directory = Path(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise UserError(f"{directory}: cannot be written: {error.strerror}") from None
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        if directory.exists():
            shutil.rmtree(directory)
        os.replace(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
