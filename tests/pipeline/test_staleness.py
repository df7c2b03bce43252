"""Which edit runs what again: the table of docs/staleness.md, asked of DVC itself."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo

from verify.workspace import ROOT
from wm.core.params import VISION_MODELS

DOCUMENT = ROOT / "docs/staleness.md"
EVERY = "train_<vision>"
"""What the table calls the trainings of all vision models."""
TRAINING = {"train_vae", "train_vaegan", "train_rnn", "train_controller"}
DRIVING = {"collect", "train_controller", "evaluate"}


def table() -> dict[str, set[str]]:
    """File -> stages that run again, as the document's table says."""
    found = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) >= 3 and (file := re.fullmatch(r"`((?:wm|stages)/\S+\.py)`", cells[1])):
            stages = set(re.findall(r"`([\w<>]+)`", cells[2]))
            if EVERY in stages:
                stages = stages - {EVERY} | {f"train_{name}" for name in VISION_MODELS}
            found[file[1]] = stages
    return found


@pytest.fixture
def edited(repository: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A file of the repository, with a line more while a test runs."""
    file = repository / request.param
    before = file.read_bytes()
    file.write_bytes(before + b"\nEDITED = True\n")
    yield request.param
    file.write_bytes(before)


def stale(repository: Path) -> set[str]:
    """The stages of which DVC says that a dependency has changed."""
    with Repo(str(repository)) as repo:
        return {name.split(":")[-1] for name in repo.status()}


def test_nothing_is_stale_at_first(repository: Path) -> None:
    assert stale(repository) == set()


def test_what_python_leaves_behind_is_no_edit(repository: Path) -> None:
    (repository / "wm/core/__pycache__").mkdir(exist_ok=True)
    (repository / "wm/core/__pycache__/junk.pyc").write_bytes(b"junk")
    assert stale(repository) == set()


LEFT_BEHIND = (
    ".params.py.swp", ".params.py.swo", "params.py~", ".#params.py", "#params.py#",  # vim, emacs
    ".params.py.kate-swp", "params.py.bak", "params.py.orig", "params.py.rej",
    ".DS_Store", "._params.py", ".directory", "Thumbs.db", "desktop.ini",
    ".nfs000000000001", ".fuse_hidden0000001",
)  # fmt: skip


def test_what_editors_and_file_managers_leave_behind_is_no_edit(repository: Path) -> None:
    rooms = [path.parent for path in (repository / "wm").rglob("__init__.py")]
    left = [room / name for room in rooms for name in LEFT_BEHIND]
    for file in left:
        file.write_text("junk")
    found = stale(repository)
    for file in left:
        file.unlink()
    assert found == set()


@pytest.mark.parametrize("edited", sorted(table()), indirect=True)
def test_an_edit_runs_again_what_the_table_says(repository: Path, edited: str) -> None:
    assert stale(repository) == table()[edited]


def test_the_table_says_what_was_promised() -> None:
    stages = table()
    network = stages["wm/vision/models/vae/networks.py"]
    assert {"train_vae", "encode", "train_rnn", "train_controller", "evaluate"} <= network
    assert not {"collect", "train_vaegan"} & network
    assert stages["wm/vision/models/vaegan/discriminator.py"] == {"train_vaegan"}
    for file in ("wm/report/figures.py", "wm/report/memory.py", "wm/report/memory_metrics.py",
                 "wm/report/probe.py", "wm/runtime/progress.py"):  # fmt: skip
        assert not stages[file] & (TRAINING | DRIVING), file
    assert stages["wm/runtime/progress.py"] == set()
    controller = stages["wm/control/policy/controller.py"]
    assert controller == {"train_controller", "evaluate", "film", "dream_page"}
