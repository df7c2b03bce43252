"""Pushes runs whole, so that who pulls them runs nothing again."""

from __future__ import annotations

import re
from pathlib import Path

from dvc.repo import Repo
from dvc.utils.serialize import load_yaml
from dvc_data.hashfile.hash_info import HashInfo
from dvc_objects.fs.generic import copy

from wm.core.errors import UserError

RECORD = re.compile(r"[0-9a-f]{64}")
"""What is named otherwise in the run cache is on its way: of a DVC at work, or of one killed."""


def push(repo: Repo, remote: str | None) -> tuple[int, int]:
    """Pushes every run of the run cache that this cache has whole: the objects that its record
    names, then the record. Returns how many objects were sent, and how many runs were left out, as
    objects of theirs are gone (by `dvc gc`, say).

    `dvc push --run-cache` sends a run's record, and of what the run made only what git does not
    keep: its metrics and plots stay behind, and `dvc exp run --pull` elsewhere, which wants all
    outputs of a record or none, runs the stage again (github.com/treeverse/dvc/issues/5749).
    `remote` is a name, None the default one. Raises UserError when something could not be sent, and
    DVC's own exceptions.
    """
    folder = Path(repo.stage_cache.cache_dir)
    # <2 of the key>/<key>/<value>
    paths = [path for path in sorted(folder.glob("*/*/*")) if RECORD.fullmatch(path.name)]
    objects = {path: _objects(repo, path, remote) for path in paths}
    whole = {path: of for path, of in objects.items() if of is not None}
    named = set().union(*whole.values())
    # A folder's list after its files: DVC takes the files of a list that is there for present, and
    # of a file that fails it withholds the list of one of the folders that have it, not of all.
    files = repo.cloud.push({of for of in named if not of.isdir}, remote=remote)
    ready = {path: of for path, of in whole.items() if not of & files.failed}
    lists = repo.cloud.push({of for of in set().union(*ready.values()) if of.isdir}, remote=remote)
    there = repo.cloud.get_remote_odb(remote, "push --run-cache", hash_name="md5-dos2unix")
    for path, of in ready.items():
        if not of & lists.failed:  # without its objects a record would be of no use to anybody
            target = there.fs.join(there.path, "runs", *path.relative_to(folder).parts)
            copy(repo.cache.legacy.fs, str(path), there.fs, target)
    if failed := len(files.failed) + len(lists.failed):
        raise UserError(f"{failed} objects were not sent; push again, it goes on where it was")
    return len(files.transferred) + len(lists.transferred), len(objects) - len(whole)


def _objects(repo: Repo, record: Path, remote: str | None) -> set[HashInfo] | None:
    """Returns the objects of what a record's run made; None where this cache lacks one."""
    found: set[HashInfo] = set()
    # forced: it would ask a person about a folder whose list is gone
    run = (record.parent.name, record.name)
    for objects in repo.stage_cache.get_used_objs([run], remote=remote, force=True).values():
        found |= objects
    if not record.exists():  # it was damaged, and DVC has removed it
        return None
    made = {out["md5"] for out in load_yaml(record).get("outs", [])}
    whole = made <= {of.value for of in found}
    return found if whole and all(repo.cache.local.exists(of.value) for of in found) else None
