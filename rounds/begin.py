"""Begin the rounds with what the pipeline made: its memory and its controller are round 0's."""

from __future__ import annotations

import shutil
from pathlib import Path

from rounds.folders import Round
from wm.core import artifacts
from wm.core.errors import UserError
from wm.runtime.entry import main

RNN, CONTROLLER = Path("models/rnn"), Path("models/controller")


def run() -> None:
    for source in (RNN, CONTROLLER):
        if not source.is_dir():
            raise UserError(f"{source}: not found; run the pipeline first: dvc repro")
    with artifacts.publish(Round(0).dreamer) as directory:
        shutil.copytree(RNN, directory, dirs_exist_ok=True)
    with artifacts.publish(Round(0).candidates) as directory:
        shutil.copytree(CONTROLLER, directory / "0")


if __name__ == "__main__":
    main(run)
