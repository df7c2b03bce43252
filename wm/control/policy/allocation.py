"""Keeping freed memory: a step of a rollout frees what the next one asks for again."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST = 32 << 20  # bytes: the most that glibc takes for the second


def keep_freed_memory() -> None:
    """Has this process keep what it frees, up to 1 GiB, for what it asks for next.

    By default glibc gives a megabyte and more back to the system at once, and every activation of
    the encoder would be pages to fetch and to clear anew: up to a third of a rollout's time in bf16
    (EXPERIMENTS.md). Changes no result. Does nothing where the C library is another.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, 1 << 30)
