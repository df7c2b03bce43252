"""A `dvc repro` that has nothing to do, after one at the smoke scale in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def no_op_seconds(folder: Path, repeats: int) -> float:
    """Returns the median of `repeats`, in seconds, in a copy made in `folder`."""
    copy = folder / "copy"
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split("\n")[:-1]
    for name in tracked:
        if (ROOT / name).is_file() and not name.startswith(("metrics/", "plots/", "dvc.lock")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    params = copy / "params.yaml"
    smoke, places = re.subn(r"(?m)^scale: \w+", "scale: smoke", params.read_text())
    assert places == 1, "params.yaml has no scale"
    params.write_text(smoke)
    subprocess.run(["git", "init", "-q"], cwd=copy, check=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        repro = subprocess.run(
            ["dvc", "repro"], cwd=copy, env=os.environ | {"PATH": path},
            capture_output=True, text=True,
        )  # fmt: skip
        assert repro.returncode == 0, repro.stderr[-2000:]
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds[1:]), 2)
