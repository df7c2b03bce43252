"""Cutting work into parts of fixed size, so that results do not depend on who does which part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Whole = TypeVar("Whole", bound=Sequence[int] | np.ndarray)


def shards(whole: Whole, size: int) -> list[Whole]:
    """Returns `whole` (a list, a range or an array's rows) in order, in parts of `size`; the last
    part may be shorter."""
    return [whole[start : start + size] for start in range(0, len(whole), size)]  # type: ignore[misc]
