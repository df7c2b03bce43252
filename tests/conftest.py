import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
import torch

from verify.workspace import copy, environment

# tests run side by side, one a core
torch.set_num_threads(1)

# the same inputs every time; `make verify` tries the large number
_SETTINGS = {"derandomize": True, "database": None, "deadline": None}
hypothesis.settings.register_profile("fast", max_examples=60, **_SETTINGS)
hypothesis.settings.register_profile("large", max_examples=5000, **_SETTINGS)


def pytest_configure(config: pytest.Config) -> None:
    """The fast profile, unless another was asked for."""
    if not config.getoption("--hypothesis-profile"):
        hypothesis.settings.load_profile("fast")


Command = Callable[..., subprocess.CompletedProcess[str]]


def executed(output: str) -> list[str]:
    """The stages that a dvc command has run."""
    return re.findall(r"Running stage '(\w+)'", output)


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


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, shell: Command) -> Path:
    """A git repository with a copy of the working tree, after `dvc repro` at the smoke scale and a
    commit."""
    directory = copy(tmp_path_factory.mktemp("repository"))
    shell(directory, "dvc", "repro")
    shell(directory, "git", "add", "-A")
    shell(directory, "git", "commit", "-qm", "smoke")
    return directory
