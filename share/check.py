"""Reads every object of a cache and removes what is not what its name says."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dvc.repo import Repo
from dvc_data.hashfile.hash import fobj_md5

from wm.runtime.progress import Progress

READERS = 8
OBJECT = re.compile(r"[0-9a-f]{32}(\.dir)?")
"""What is named otherwise is on its way: of a transfer under way, or of one that was killed."""


def check(repo: Repo, remote: str | None) -> Iterator[str]:
    """Removes the damaged objects of this cache, or of `remote` if it is given; yields for each its
    path and what was the matter.

    DVC believes a name: it compares an object with its hash only while it downloads, and only if
    `verify` is set for the remote. What is removed counts as missing, for `dvc push`, `dvc pull`
    and `dvc repro` to bring back. Raises DVC's exceptions without such a remote, and its library's.
    """
    odb = repo.cloud.get_remote_odb(remote, "check") if remote else repo.cache.local
    oids = sorted(oid for oid in odb.all() if OBJECT.fullmatch(oid))
    present = set(oids)
    with (
        ThreadPoolExecutor(READERS) as readers,
        Progress("check", len(oids), "objects") as progress,
    ):
        whole = readers.map(lambda oid: _is_whole(odb, oid), oids)
        for oid, is_whole in zip(oids, whole, strict=True):
            if not is_whole:
                present.remove(oid)
            if is_whole is False:
                _remove(odb, oid)
                yield f"{odb.oid_to_path(oid)}: damaged"
            progress.advance()
    if remote:
        # A push takes a folder's content for present where the folder's list is. What an earlier
        # check removed, and did not live to remove the list of, is missing too.
        for oid in sorted(present):
            if oid.endswith(".dir") and not _content(odb, oid) <= present:
                _remove(odb, oid)
                yield f"{odb.oid_to_path(oid)}: a folder that lacks some of its files"


def _is_whole(odb: Any, oid: str) -> bool | None:
    """Whether an object is what its name says; None where it has gone meanwhile."""
    try:
        with odb.fs.open(odb.oid_to_path(oid), "rb") as file:
            return bool(fobj_md5(file) == oid.removesuffix(".dir"))
    except FileNotFoundError:
        return None


def _content(odb: Any, oid: str) -> set[str]:
    """The objects that a folder's list names; none where it has gone meanwhile."""
    try:
        with odb.fs.open(odb.oid_to_path(oid), "rb") as file:
            return {entry["md5"] for entry in json.load(file)}
    except FileNotFoundError:
        return set()


def _remove(odb: Any, oid: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        odb.delete(oid)
