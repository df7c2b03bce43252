import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import torch

from verify.workspace import OF_A_REPOSITORY, copy, environment, set_param

OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "PYTHON")
"""Variables that `make test` leaves to what it starts."""

# tests run side by side, one a core
torch.set_num_threads(1)

# the same inputs every time; `make verify` tries the large number
_SETTINGS = {"derandomize": True, "database": None, "deadline": None}
hypothesis.settings.register_profile("fast", max_examples=60, **_SETTINGS)
hypothesis.settings.register_profile("large", max_examples=5000, **_SETTINGS)


def pytest_configure(config: pytest.Config) -> None:
    """The fast profile, unless another was asked for. What the user's own shell says of
    repositories, clouds and proxies is for nothing that a test starts, and `make test PYTHON=...`
    names no Python for the makes of the tests."""
    for name in list(os.environ):
        if name in (*OF_A_REPOSITORY, *OF_MAKE) or name.startswith("AWS_"):
            del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    if not config.getoption("--hypothesis-profile"):
        hypothesis.settings.load_profile("fast")


Command = Callable[..., subprocess.CompletedProcess[str]]


def executed(output: str) -> list[str]:
    """The stages that a dvc command has run."""
    return re.findall(r"Running stage '(\w+)'", output)


def put_back(repository: Path, shell: Command) -> None:
    """Brings back the committed state, whatever the test before has run."""
    shell(repository, "git", "checkout", "-q", ".")
    shell(repository, "dvc", "checkout")


def await_file(repository: Path, pattern: str) -> None:
    """Waits until a path matches `pattern`."""
    deadline = time.monotonic() + 120
    while not list(repository.glob(pattern)):
        assert time.monotonic() < deadline, f"no {pattern}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables that give git and DVC a name, whoever runs the tests."""
    home = tmp_path_factory.mktemp("home")
    config = home / ".gitconfig"
    config.write_text("[user]\n\tname = test\n\temail = test@example.org\n")
    # git asks GIT_CONFIG_GLOBAL, DVC only the home
    return {"HOME": str(home), "GIT_CONFIG_GLOBAL": str(config)}


@pytest.fixture(scope="session")
def shell(identity: dict[str, str]) -> Command:
    """Runs a command in a folder with this Python first on PATH and a git identity."""

    def run(
        folder: Path, *command: str, check: bool = True, **env: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment(**identity, **env),
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
        return done

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, shell: Command) -> Path:
    """A git repository with a copy of the working tree, after `dvc repro` at the smoke scale and a
    commit; made by the first of the test processes that asks for it, and never changed."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # the folder of this run, in which each process has its own
    directory = shared / "finished"
    with open(shared / "finished.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            making = copy(tmp_path_factory.mktemp("finished"))
            # tests run side by side: two threads of one training would wait for each other's turns
            set_param(making, "threads", 1)
            set_param(making, "workers", 1)
            shell(making, "dvc", "repro")
            shell(making, "git", "add", "-A")
            shell(making, "git", "commit", "-qm", "smoke")
            making.rename(directory)
    return directory


@pytest.fixture(scope="module")
def repository(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished one, for a file's tests to change."""
    return shutil.copytree(finished, tmp_path_factory.mktemp("module") / "repository")


MEANWHILE = ("test_cluster", "test_environment", "test_fitness")
"""Long files that need no pipeline: for a process to run while another makes the finished one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that run pipelines come first: they take longest, and would be left to one process
    at the end. Only one of them comes first of all: others would wait for what it makes."""
    long = [item.path for item in items if "repository" in getattr(item, "fixturenames", ())]

    def turn(item: pytest.Item) -> int:
        if item.path in long[:1]:
            return 0
        if item.path in long:
            return 2
        return 1 if item.path.stem in MEANWHILE else 3

    items.sort(key=turn)
