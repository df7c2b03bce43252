"""What a stage has to say about the DVC that runs it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from wm.core.errors import UserError

CACHED = ("data", "models", "videos")
"""The folders of outputs that are in DVC's cache."""
COMMITTED = ("metrics", "plots")
"""The folders of outputs that are in git."""


def refuse_links() -> None:
    """Raises UserError when DVC would refuse this stage's outputs after the work.

    It does where a folder of cached outputs is a link that leads out of the git repository.
    """
    if "DVC_STAGE" not in os.environ or not Path(".git").exists():
        return
    for folder in map(Path, CACHED):
        if folder.is_symlink() and not folder.resolve().is_relative_to(Path.cwd()):
            raise UserError(
                f"{folder}: a link out of this repository, where DVC refuses outputs; delete the "
                "link and move DVC's cache instead: `dvc cache dir --local /big/disk/cache && "
                "dvc config --local cache.type symlink` (docs/teams.md)"
            )


def way_back() -> str:
    """Returns the end of an error's line: how to bring back committed outputs that are missing.

    DVC deletes a stage's outputs before it runs it. Empty when none is missing, and when the stage
    does not run in DVC's own repository but by hand or in an experiment's temporary copy.
    """
    root = os.environ.get("DVC_ROOT")
    if root is None or Path(root).resolve() != Path.cwd():
        return ""
    command = ["git", "ls-files", "--deleted", "-z", "--", *COMMITTED]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""  # no git
    # git takes what lies behind a link for deleted
    missing = [name for name in listed.split("\0") if name and not Path(name).exists()]
    if not missing:
        return ""
    return f"; DVC has deleted outputs: `git checkout -- {shlex.join(missing)}` brings them back"
