"""Pushes runs whole, so that who pulls them runs nothing again."""

from __future__ import annotations

from pathlib import Path

from dvc.repo import Repo

from wm.core.errors import UserError


def push(repo: Repo, remote: str | None) -> int:
    """Pushes every object that the run cache's records name, then the records; returns how many
    objects were sent.

    `dvc push --run-cache` sends a run's record, and of what the run made only what git does not
    keep: its metrics and plots stay behind, and `dvc exp run --pull` elsewhere, which wants all
    outputs of a record or none, runs the stage again (github.com/treeverse/dvc/issues/5749).
    `remote` is a name, None the default one. What this cache no longer has is left out; DVC warns.
    Raises UserError when something could not be sent, and DVC's own exceptions.
    """
    # runs/<2 of the key>/<key>/<value>
    records = [path.relative_to(path.parents[2]) for path in
               Path(repo.stage_cache.cache_dir).glob("*/*/*") if path.is_file()]  # fmt: skip
    named = [(record.parts[1], record.parts[2]) for record in records]
    sent, failed = 0, 0
    for objects in repo.stage_cache.get_used_objs(named).values():
        result = repo.cloud.push(objects, remote=remote)
        sent += len(result.transferred)
        failed += sum(repo.cache.local.exists(object_.value) for object_ in result.failed)
    repo.stage_cache.push(remote)  # which logs what fails, and goes on
    there = repo.cloud.get_remote_odb(remote, "push", hash_name="md5-dos2unix")
    failed += sum(
        not there.fs.exists(there.fs.join(there.path, "runs", *record.parts)) for record in records
    )
    if failed:
        raise UserError(f"{failed} objects were not sent; push again, it goes on where it was")
    return sent
