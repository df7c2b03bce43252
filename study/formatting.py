"""Numbers as the report writes them."""

from __future__ import annotations

from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"


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
