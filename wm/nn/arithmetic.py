"""What arithmetic a result was computed in: kept beside it, compared by whoever goes on with it.

`precision` and `device` are parameters, which DVC hashes. The processor is not. In fp32 every
x86-64 with AVX2 computes the same; elsewhere another kind sums in another order, so that results
differ in their last bits, and that is said where they meet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import torch

from wm.core import artifacts, processor
from wm.core.params import SharedParams

FILE = "arithmetic.json"
"""Its name, beside a model's weights."""


def record(directory: Path | str, shared: SharedParams) -> None:
    """Writes into the folder `directory` what its content was computed in."""
    artifacts.write_json(Path(directory) / FILE, _here(shared))


def compare(directories: Iterable[Path | str], shared: SharedParams) -> None:
    """Says on stderr which of the folders were computed in another arithmetic than this stage's.

    A folder without a record, which no stage has made, is passed over. Raises UserError when a
    record is damaged.
    """
    here = _here(shared)
    for directory in directories:
        path = Path(directory) / FILE
        if path.exists() and (there := artifacts.read_json(path)) != here:
            print(
                f"notice: {directory} was computed in {_words(there)}, this goes on in "
                f"{_words(here)}; one machine alone would come to another result",
                file=sys.stderr,
                flush=True,
            )


def _here(shared: SharedParams) -> dict[str, str]:
    return {"precision": shared.precision, "processor": _processor(shared)}


def _processor(shared: SharedParams) -> str:
    if shared.device == "cpu":
        return processor.kind(shared.precision)
    # results of a GPU may have been fetched to a machine without one
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


def _words(record: object) -> str:
    return " on ".join(map(str, record.values())) if isinstance(record, dict) else str(record)
