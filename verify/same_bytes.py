"""The whole pipeline under other circumstances: every hash in dvc.lock stays what it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verify import workspace
from verify.stage import STAGES


@dataclass(frozen=True)
class Circumstance:
    """What differs from the first run."""

    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    umask: int = -1
    folder: str | None = None
    """Of a checkout of its own; None: forced in the first one."""


SHARDS = {
    "shard_episodes: 8 ": "shard_episodes: 1 ",
    "shard_episodes: 4    #": "shard_episodes: 2    #",
    "max_steps: 40, shard_episodes: 2}": "max_steps: 40, shard_episodes: 1}",
}
"""Changes to params.yaml: as many tasks as the most workers, or more."""
TARGETS = {
    "vae": [],  # all
    "vaegan": ["--single-item", *STAGES[STAGES.index("encode") :]],
}

ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

CIRCUMSTANCES = [
    Circumstance("dvc repro --force"),
    Circumstance("1 worker", workers=1),
    Circumstance("2 workers", workers=2),
    Circumstance("4 workers", workers=4),
    Circumstance("another checkout, with a space in its path", folder="an other/checkout"),
    Circumstance("PYTHONHASHSEED=12345", {"PYTHONHASHSEED": "12345"}),
    Circumstance("LC_ALL=POSIX, in ASCII", ASCII),
    Circumstance("umask 077", umask=0o077, folder="private"),
    Circumstance("TZ=Asia/Kathmandu", {"TZ": "Asia/Kathmandu"}),
    Circumstance("OMP_NUM_THREADS=1", {"OMP_NUM_THREADS": "1"}),
    Circumstance(
        "OMP_THREAD_LIMIT=1, OMP_DYNAMIC=true", {"OMP_THREAD_LIMIT": "1", "OMP_DYNAMIC": "true"}
    ),
    Circumstance(
        "other kernels, three threads",
        {
            "OPENBLAS_CORETYPE": "Nehalem",
            "OPENBLAS_NUM_THREADS": "3",
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
        },
    ),
    Circumstance("another TMPDIR", {"TMPDIR": "elsewhere"}),
]


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yields a row a circumstance: its name, the number of hashes compared and which changed."""
    first = _copy(folder / "first")
    expected = _both(first, Circumstance("the first run"))
    for circumstance in CIRCUMSTANCES:
        where = first
        if circumstance.folder:
            where = _copy(folder / circumstance.folder)
        found = _both(where, circumstance)
        changed = sorted(path for path in expected if found.get(path) != expected[path])
        yield {"circumstance": circumstance.name, "hashes": len(expected), "changed": changed}


def _copy(directory: Path) -> Path:
    copied = workspace.copy(directory)
    for old, new in SHARDS.items():
        workspace.edit(copied, old, new)
    return copied


def _both(directory: Path, circumstance: Circumstance) -> dict[str, str]:
    """Returns the hashes of the pipeline with either vision model, each run anew."""
    env = dict(circumstance.env)
    if "TMPDIR" in env:
        env["TMPDIR"] = str(directory.parent / env["TMPDIR"])
        Path(env["TMPDIR"]).mkdir(exist_ok=True)
    workspace.set_param(directory, "workers", circumstance.workers or "null")
    found = dict[str, str]()
    for vision, stages in TARGETS.items():
        workspace.set_param(directory, "vision", vision)
        workspace.dvc(
            directory, "repro", "--force", "--no-run-cache", *stages,
            env=env, umask=circumstance.umask,
        )  # fmt: skip
        found |= {f"{vision}: {path}": md5 for path, md5 in workspace.hashes(directory).items()}
    return found
