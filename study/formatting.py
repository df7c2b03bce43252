"""Numbers as the report writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
Column = tuple[str, str, int]
"""A column of a table of runs: title, key of RunRecord.row(), digits."""


def number(value: float, digits: int, sign: str = "") -> str:
    """Returns a number with thousands separated and a true minus; `sign` is that of format()."""
    return f"{value:{sign}z,.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int) -> str:
    """Returns a number with its sign."""
    return number(value, digits, "+")


def span(ends: Sequence[float], digits: int) -> str:
    """Returns both ends of an interval with their signs."""
    return f"{signed(ends[0], digits)} to {signed(ends[1], digits)}"


def percent(share: float) -> str:
    """Returns a share as whole percent, without their sign."""
    return f"{100 * share:.0f}"


def numbers(row: Mapping[str, Any], columns: Sequence[Column]) -> list[str]:
    """Returns a run's numbers in the columns, a dash for one that it does not have."""
    return [number(row[key], digits) if key in row else DASH for _, key, digits in columns]
