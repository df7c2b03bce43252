"""Contests: contenders that take turns at one kind of work, on one core, and their rates.

Machines are noisy and shared, so a rate means little and a ratio of neighbours in time more: every
repetition runs all contenders of a contest one after the other, and a ratio is taken within each
repetition before the median over them. What differs between contenders besides speed is said where
they are defined.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

Rate = Callable[[], float]
"""Does the work once; returns how much of it a second."""


@dataclass(frozen=True)
class Contest:
    """One thing that can be done in several ways."""

    name: str
    unit: str
    contenders: Mapping[str, Rate]
    """The first is ours, to which all are compared."""
    limit: Rate | None = None
    """What the machine would do if only its products or only the physics took time, for `limited`;
    in the same unit."""
    limited: tuple[str, ...] = ("ours",)


@dataclass(frozen=True)
class Row:
    """A contender's rates, one a repetition."""

    contest: str
    unit: str
    contender: str
    rates: list[float]
    ratios: list[float]
    """Ours over this one's, repetition by repetition."""
    limits: list[float] | None
    """The contest's limit, repetition by repetition, if it is this one's."""

    def record(self) -> dict[str, Any]:
        median = statistics.median(self.rates)
        return {
            "contest": self.contest,
            "unit": self.unit,
            "contender": self.contender,
            "median": round(median, 1),
            "least": round(min(self.rates), 1),
            "most": round(max(self.rates), 1),
            "ours_over_it": round(statistics.median(self.ratios), 2),
            "share_of_limit": self._share(),
        }

    def _share(self) -> float | None:
        if self.limits is None:
            return None
        shares = [rate / limit for rate, limit in zip(self.rates, self.limits, strict=True)]
        return round(statistics.median(shares), 3)


def run(contest: Contest, repeats: int) -> list[Row]:
    """Runs all contenders once unmeasured, then in turn `repeats` times; returns a row for each."""
    everyone = dict(contest.contenders) | ({"the limit": contest.limit} if contest.limit else {})
    for rate in everyone.values():
        rate()
    rates: dict[str, list[float]] = {name: [] for name in everyone}
    for _ in range(repeats):
        for name, rate in everyone.items():
            rates[name].append(rate())
    limits = rates.pop("the limit") if contest.limit else None
    ours = next(iter(rates.values()))
    return [
        Row(
            contest.name, contest.unit, name, values,
            [mine / its for mine, its in zip(ours, values, strict=True)],
            limits if name in contest.limited else None,
        )
        for name, values in rates.items()
    ]  # fmt: skip


def table(records: list[dict[str, Any]]) -> str:
    """Returns the records as text, a block a contest."""
    lines, last = [], None
    for record in records:
        if record["contest"] != last:
            last = record["contest"]
            lines.append(f"\n{last}, {record['unit']}")
            lines.append(
                f"  {'':<44}{'median':>10}{'least':>10}{'most':>10}{'ours':>8}{'limit':>8}"
            )
        share = record["share_of_limit"]
        lines.append(
            f"  {record['contender']:<44}{record['median']:>10,.0f}{record['least']:>10,.0f}"
            f"{record['most']:>10,.0f}{record['ours_over_it']:>7.2f}x"
            + ("" if share is None else f"{share:>8.0%}")
        )
    return "\n".join(lines)


def one_core() -> None:
    """Holds this process, and what it starts from now on, to one core; torch and OpenCV to one
    thread."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the first serves interrupts


def machine() -> dict[str, Any]:
    """Returns what the rates were measured on: processor, cores, versions."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "bf16": bool(torch.cpu.get_capabilities().get("avx512_bf16", False)),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
