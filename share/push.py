"""Pushes runs whole, so that who pulls them runs nothing again."""

from __future__ import annotations

from dvc.repo import Repo

from wm.errors import UserError


def push(repo: Repo, remote: str | None) -> int:
    """Pushes the run cache and every object that its records name; returns how many were sent.

    `dvc push --run-cache` sends a run's record, and of what the run made only what git does not
    keep: its metrics and plots stay behind, and `dvc exp run --pull` elsewhere, which wants all
    outputs of a record or none, runs the stage again (github.com/treeverse/dvc/issues/5749).
    `remote` is a name, None the default one. What this cache no longer has is left out; DVC warns.
    Raises UserError when objects could not be sent, and DVC's own exceptions.
    """
    sent, failed = 0, 0
    records = repo.stage_cache.push(remote)
    for objects in repo.stage_cache.get_used_objs(records).values():
        result = repo.cloud.push(objects, remote=remote)
        sent += len(result.transferred)
        failed += sum(repo.cache.local.exists(object_.value) for object_ in result.failed)
    if failed:
        raise UserError(f"{failed} objects were not sent; push again, it goes on where it was")
    return sent
