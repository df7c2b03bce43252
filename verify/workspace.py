"""Copies of the working tree in which the smoke scale runs under a real DVC."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from wm.core.errors import UserError

ROOT = Path(__file__).parent.parent
RESULTS = ("dvc.lock", "rounds/dvc.yaml", "rounds/dvc.lock", "metrics/", "plots/", "results/")
"""Beginnings of the names of what a run writes, of the pipeline or of rounds after it."""


OF_A_REPOSITORY = (
    "DVC_ROOT", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR", "GIT_PREFIX",
)  # fmt: skip
"""Variables by which DVC and git know a repository wherever they are called: a hook has those of
the one that is being committed to."""


def copy(directory: Path) -> Path:
    """Copies the files that git knows or would take, but not the results of a run; returns a git
    repository at the smoke scale.

    Raises UserError where there is no repository to copy, as in a download without .git.
    """
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(RESULTS):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, directory / name)
    set_param(directory, "scale", "smoke")
    subprocess.run(["git", "init", "-q"], cwd=directory, env=environment(), check=True)
    return directory


def commit(apart: Path) -> str:
    """Returns the commit that is checked out, 12 digits of it, with a + if files that git knows,
    other than `apart`, differ."""
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", f":(exclude){apart}")
    return git("rev-parse", "--short=12", "HEAD").strip() + ("+" if changed else "")


def git(*arguments: str) -> str:
    """Returns what git says of this checkout; UserError with its reason and a remedy if not."""
    command = ["git", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()).removeprefix("fatal: ")
        if not (ROOT / ".git").exists():
            reason += "; make it one: `git init && git add -A && git commit -m start`"
        raise UserError(f"{ROOT}: {reason}")
    return done.stdout


def edit(directory: Path, old: str, new: str) -> None:
    """Replaces what occurs once in params.yaml."""
    file = directory / "params.yaml"
    text = file.read_text()
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
    file.write_text(text.replace(old, new))


def set_param(directory: Path, key: str, value: str | int) -> None:
    """Sets one of the keys at the top of params.yaml."""
    file = directory / "params.yaml"
    text, count = re.subn(rf"(?m)^{key}: *\S+", f"{key}: {value}", file.read_text())
    assert count == 1, f"{key} occurs {count} times"
    file.write_text(text)


def environment(**changes: str) -> dict[str, str]:
    """Returns this process' own variables but those of a repository, with this Python first on
    PATH, and `changes`."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_A_REPOSITORY}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", **changes}


def dvc(
    directory: Path, *arguments: str, env: Mapping[str, str] | None = None, umask: int = -1
) -> str:
    """Runs dvc; returns its output. Raises RuntimeError with both streams in its text."""
    done = subprocess.run(
        ["dvc", *arguments], cwd=directory, env=environment(**(env or {})), umask=umask,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"dvc {' '.join(arguments)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def outputs(directory: Path, stage: str) -> list[Path]:
    """Returns the paths of a stage's outputs, its metrics and plots among them, as dvc.yaml has
    them."""
    described = yaml.safe_load((directory / "dvc.yaml").read_text())["stages"][stage]
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in described.get(kind, [])]
    names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    return [directory / name for name in names]


def remove(paths: Iterable[Path]) -> None:
    """Removes files and folders, as many as are there."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def hashes(directory: Path, but: str = "") -> dict[str, str]:
    """Returns what dvc.lock says of every output, path -> hash, but for those of one stage."""
    stages = yaml.safe_load((directory / "dvc.lock").read_text())["stages"]
    outs = [out for name, stage in stages.items() if name != but for out in stage.get("outs", [])]
    return {out["path"]: out["md5"] for out in outs}
