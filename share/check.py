"""Reads every object of a cache and removes what is not what its name says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from dvc.repo import Repo
from dvc_data.hashfile.hash import fobj_md5

from wm.progress import Progress

READERS = 8


def check(repo: Repo, remote: str | None) -> list[str]:
    """Removes the damaged objects of this cache, or of `remote` if it is given; their paths.

    DVC believes a name: it compares an object with its hash only while it downloads, and only if
    `verify` is set for the remote. What is removed counts as missing, for `dvc push`, `dvc pull`
    and `dvc repro` to bring back. Raises DVC's exceptions without such a remote.
    """
    odb = repo.cloud.get_remote_odb(remote, "check") if remote else repo.cache.local

    def is_damaged(oid: str) -> bool:
        with odb.fs.open(odb.oid_to_path(oid), "rb") as file:
            return bool(fobj_md5(file) != oid.removesuffix(".dir"))

    oids = sorted(odb.all())
    damaged = []
    with (
        ThreadPoolExecutor(READERS) as readers,
        Progress("check", len(oids), "objects") as progress,
    ):
        for oid, bad in zip(oids, readers.map(is_damaged, oids), strict=True):
            if bad:
                damaged.append(odb.oid_to_path(oid))
                odb.delete(oid)
            progress.advance()
    return damaged
