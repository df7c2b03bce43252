"""The whole pipeline at the smoke scale in a copy of the working tree, which is thrown away.

python -m verify.smoke
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from verify import workspace
from wm.core.errors import UserError


def main() -> None:
    """Runs `dvc repro` and shows its metrics; exits with DVC's status."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            directory = workspace.copy(Path(folder))
        except UserError as error:
            sys.exit(f"error: {error}")
        for command in (["dvc", "repro"], ["dvc", "metrics", "show"]):
            done = subprocess.run(command, cwd=directory, env=workspace.environment(), check=False)
            if done.returncode:
                sys.exit(done.returncode)


if __name__ == "__main__":
    main()
