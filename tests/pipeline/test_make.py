"""The Makefile, where it stands in a user's way: Python's version, half a .venv, paths."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from verify import workspace
from verify.workspace import ROOT

PYTHON = """#!/bin/sh
if [ "$1" = -c ]; then exec "{real}" -c "import sys; {version}; $2"; fi
echo "python $*" >> calls
[ "$2" = venv ] && rm -rf .venv && mkdir -p .venv/bin && cp pip "$0" .venv/bin
exit 0
"""
PIP = """#!/bin/sh
echo "pip $*" >> calls
exit $(cat status)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a space and an umlaut in its path, whose python and pip only take notes."""
    folder = tmp_path / "a cl\u00f6ne"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    write(folder / "pip", PIP)
    (folder / "status").write_text("0")
    return folder


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def make(folder: Path, version: str = "pass") -> subprocess.CompletedProcess[str]:
    write(folder / "python", PYTHON.format(real=sys.executable, version=version))
    command = ["make", ".venv/installed", "PYTHON=./python"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_path_with_a_space_and_an_umlaut_is_set_up(checkout: Path) -> None:
    assert make(checkout).returncode == 0
    venv, pip = (checkout / "calls").read_text().splitlines()
    assert venv == "python -m venv .venv"
    assert pip.startswith("pip install")
    assert (checkout / ".venv/installed").exists()


@pytest.mark.parametrize("number", ["3.10.1", "3.14.0"])  # of 3.14 there is no Box2D
def test_a_python_that_cannot_serve_is_named_before_anything_is_made(
    checkout: Path, number: str
) -> None:
    numbers = tuple(map(int, number.split(".")))
    done = make(checkout, f"sys.version_info = {numbers}; sys.version = '{number} (main)'")
    assert done.returncode != 0
    assert f"3.11, 3.12 or 3.13 is needed, and ./python is {number};" in done.stderr
    assert not (checkout / ".venv").exists()
    assert not (checkout / "calls").exists()


@pytest.mark.parametrize("how", ["named", "exported"])
def test_a_python_that_is_not_there_is_named(checkout: Path, how: str) -> None:
    named, exported = (["PYTHON=python9"], {}) if how == "named" else ([], {"PYTHON": "python9"})
    done = subprocess.run(
        ["make", ".venv/installed", *named], cwd=checkout, env=os.environ | exported,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    again = "make .venv/installed PYTHON=python3.12"  # what was asked for, not the first target
    assert f"error: python9: no such Python; name another: {again}" in done.stderr
    assert not (checkout / ".venv").exists()


def test_an_exported_python_that_is_empty_names_none(checkout: Path) -> None:
    write(checkout / "python3", PYTHON.format(real=sys.executable, version="pass"))
    env = os.environ | {"PYTHON": "", "PATH": f"{checkout}:{os.environ['PATH']}"}
    subprocess.run(["make", ".venv/installed"], cwd=checkout, env=env, check=True)
    assert (checkout / "calls").read_text().startswith("python -m venv .venv")


def test_a_half_made_environment_is_made_anew(checkout: Path) -> None:
    (checkout / "status").write_text("1")
    assert make(checkout).returncode != 0
    (checkout / ".venv/bin/left").write_text("of another Python")
    (checkout / "status").write_text("0")
    assert make(checkout).returncode == 0
    assert not (checkout / ".venv/bin/left").exists()


def test_an_environment_is_kept_where_it_serves(checkout: Path) -> None:
    assert make(checkout).returncode == 0
    (checkout / "pyproject.toml").touch()  # as git does that goes to another branch and back
    assert make(checkout).returncode == 0
    assert (checkout / "calls").read_text().count("-m venv") == 1


def test_other_pinned_versions_are_installed_whatever_their_file_s_date(checkout: Path) -> None:
    assert make(checkout).returncode == 0
    pinned = checkout / "constraints.txt"
    pinned.write_text(pinned.read_text() + "another==1\n")
    os.utime(pinned, (0, 0))  # as rsync -a may leave it
    assert make(checkout).returncode == 0
    assert (checkout / "calls").read_text().count("-m venv") == 2


def test_the_environment_of_another_python_or_another_folder_is_made_anew(
    checkout: Path, tmp_path: Path
) -> None:
    assert make(checkout).returncode == 0
    assert make(checkout, "sys.version = '3.13.1 (main)'").returncode == 0
    assert (checkout / "calls").read_text().count("-m venv") == 2
    moved = checkout.rename(tmp_path / "moved")
    again = "sys.version = '3.13.1 (main)'"
    assert make(moved, again).returncode == 0
    assert (moved / "calls").read_text().count("-m venv") == 3
    (moved / ".venv/bin/python").unlink()
    assert make(moved, again).returncode == 0
    assert (moved / "calls").read_text().count("-m venv") == 4


def test_a_python_on_path_is_the_systems_and_not_the_one_that_is_replaced(checkout: Path) -> None:
    assert make(checkout).returncode == 0
    other = checkout / "bin"
    other.mkdir()
    version = "sys.version = '3.12.9 (main)'"
    write(other / "python", PYTHON.format(real=sys.executable, version=version))
    env = {**os.environ, "PATH": f"{other}:{os.environ['PATH']}"}
    for _ in range(2):
        subprocess.run(
            ["make", ".venv/installed", "PYTHON=python"], cwd=checkout, env=env, check=True
        )
    assert (checkout / "calls").read_text().count("-m venv") == 2
    assert version in (checkout / ".venv/bin/python").read_text()


@pytest.mark.parametrize("name", ["PYTHONSAFEPATH", "PYTHONPATH", "PIP_USER"])
def test_variables_of_the_user_s_python_are_not_the_pipeline_s(checkout: Path, name: str) -> None:
    """Under PYTHONSAFEPATH `python -m stages.collect` would not look in its folder; PYTHONPATH has
    other versions; by PIP_USER pip installs elsewhere."""
    assert make(checkout).returncode == 0
    write(checkout / ".venv/bin/dvc", f"#!/bin/sh\necho ${{{name}-unset}} > found\n")
    env = {**os.environ, name: "1"}
    subprocess.run(["make", "repro"], cwd=checkout, env=env, check=True)
    assert (checkout / "found").read_text() == "unset\n"


def test_dvc_runs_stages_by_one_shell(checkout: Path) -> None:
    """DVC takes SHELL; a user's own may read a file that puts another Python first on PATH."""
    assert make(checkout).returncode == 0
    write(checkout / ".venv/bin/dvc", "#!/bin/sh\necho $SHELL > found\n")
    subprocess.run(
        ["make", "repro"], cwd=checkout, env={**os.environ, "SHELL": "/bin/tcsh"}, check=True
    )
    assert (checkout / "found").read_text() == "/bin/sh\n"


def test_a_copy_leaves_out_what_is_missing_and_repositories_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted stage has deleted tracked outputs; somebody has run rounds, and has cloned
    another project."""
    source = tmp_path / "source"
    (source / "plots").mkdir(parents=True)
    (source / "params.yaml").write_text("scale: laptop\n")
    (source / "plots/gone.csv").write_text("1")
    (source / "rounds").mkdir()
    for name in ("dvc.lock", "rounds/dvc.lock", "rounds/dvc.yaml"):  # of what was run there
        (source / name).write_text("stages: {}\n")
    (source / "kept.py").write_text("pass\n")
    (source / "gone.py").write_text("pass\n")
    for command in (["init", "-q"], ["add", "-A"], ["init", "-q", "another"]):
        subprocess.run(["git", *command], cwd=source, check=True)
    (source / "another/file").write_text("x")
    (source / "gone.py").unlink()
    monkeypatch.setattr(workspace, "ROOT", source)
    copy = workspace.copy(tmp_path / "copy")
    names = {path.name for path in copy.iterdir()}
    assert names == {".git", "params.yaml", "kept.py"}
    assert (copy / "params.yaml").read_text() == "scale: smoke\n"


def test_a_copy_is_a_repository_of_its_own_in_a_hook_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git tells a hook by GIT_DIR what is being committed to, wherever it calls git."""
    real = tmp_path / "real"
    (tmp_path / "copy").mkdir()
    subprocess.run(["git", "init", "-q", str(real)], check=True)
    (real / "params.yaml").write_text("scale: laptop\n")
    monkeypatch.setattr(workspace, "ROOT", real)
    monkeypatch.setenv("GIT_DIR", str(real / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(real / ".git/index.lock"))
    copy = workspace.copy(tmp_path / "copy")
    assert (copy / ".git").is_dir()
    command = ["git", "rev-parse", "--show-toplevel"]
    env = workspace.environment()
    found = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == copy.resolve()


def test_a_download_without_git_is_one_line(tmp_path: Path) -> None:
    """Such as a zip from GitHub."""
    for name in ("verify", "wm", "bench"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(workspace.ROOT / name, tmp_path / name, ignore=ignored)
    for module in ("verify.smoke", "verify"):
        done = subprocess.run(
            [sys.executable, "-m", module], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {tmp_path}: not a git repository")
        assert "`git init && git add -A && git commit -m start`" in done.stderr
        assert done.stderr.count("\n") == 1
