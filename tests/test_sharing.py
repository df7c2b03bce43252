"""A cache and experiments shared by real servers, S3 and SSH, between clones of one repository."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Command, executed
from tests.servers import SERVERS, Server
from verify.workspace import environment, hashes

AFTER_VISION = ["encode", "train_rnn", "train_controller", "evaluate"]


@dataclass
class Team:
    """A repository that has run the pipeline with both vision models, and what it shares by."""

    first: Path
    origin: Path
    server: Server
    shell: Command
    identity: dict[str, str]

    def connect(self, clone: Path) -> None:
        self.shell(clone, "dvc", "remote", "add", "-f", "-d", "--local", "team", self.server.url)
        for key, value in {**self.server.settings, "verify": "true"}.items():
            self.shell(clone, "dvc", "remote", "modify", "--local", "team", key, value)

    def clone(self, directory: Path) -> Path:
        self.shell(directory, "git", "clone", "-q", str(self.origin), "clone")
        self.connect(directory / "clone")
        return directory / "clone"

    def kill(self, folder: Path, *command: str, at: Path) -> None:
        """Starts a command and kills it when the first file is in `at`."""
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            command, cwd=folder, env=environment(**self.identity), stdout=quiet, stderr=quiet
        )
        deadline = time.monotonic() + 120
        while not files(at):
            assert process.poll() is None, f"{command} ended"
            assert time.monotonic() < deadline, f"{command} brought nothing"
            time.sleep(0.001)
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def first(repository: Path, shell: Command) -> Path:
    shell(repository, "dvc", "exp", "run", "-n", "vaegan", "-S", "vision=vaegan")
    shell(repository, "git", "checkout", "-q", ".")
    shell(repository, "dvc", "checkout")
    return repository


@pytest.fixture(scope="module", params=SERVERS)
def team(
    request: pytest.FixtureRequest,
    first: Path,
    shell: Command,
    identity: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Team]:
    directory = tmp_path_factory.mktemp(request.param)
    shell(directory, "git", "clone", "-q", "--bare", str(first), "origin")
    shell(first, "git", "config", "remote.origin.url", str(directory / "origin"))
    (directory / "server").mkdir()
    with SERVERS[request.param](directory / "server") as server:
        team = Team(first, directory / "origin", server, shell, identity)
        team.connect(first)
        yield team


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)  # as it was: what DVC takes for whole


def test_a_push_that_was_killed_is_noticed_and_finished(team: Team, tmp_path: Path) -> None:
    team.kill(team.first, "dvc", "push", "--jobs", "1", at=team.server.objects)
    there = len(files(team.server.objects))
    clone = team.clone(tmp_path)
    early = team.shell(clone, "dvc", "pull", check=False)
    assert early.returncode != 0
    assert "failed to pull data" in early.stderr
    team.shell(team.first, "dvc", "push")
    team.shell(team.first, "python", "-m", "share", "push")
    team.shell(team.first, "dvc", "exp", "push", "origin", "vaegan")
    assert len(files(team.server.objects)) > there
    team.shell(clone, "dvc", "pull")
    assert team.shell(clone, "dvc", "status").stdout.strip().endswith("up to date.")


def test_a_clone_pulls_though_killed_and_runs_nothing(team: Team, tmp_path: Path) -> None:
    clone = team.clone(tmp_path)
    team.kill(clone, "dvc", "pull", "--jobs", "1", at=clone / ".dvc/cache/files")
    assert len(files(clone / ".dvc/cache/files")) < len(files(team.first / ".dvc/cache/files"))
    team.shell(clone, "dvc", "pull")
    again = team.shell(clone, "dvc", "repro")
    assert executed(again.stdout) == []
    assert hashes(clone) == hashes(team.first)
    for name in hashes(clone):
        assert (clone / name).exists()
    changed = team.shell(clone, "git", "status", "--porcelain").stdout
    assert changed == ""


def test_an_experiment_comes_along_and_is_compared(team: Team, tmp_path: Path) -> None:
    clone = team.clone(tmp_path)
    team.shell(clone, "dvc", "pull")
    team.shell(clone, "dvc", "exp", "pull", "origin", "vaegan")
    team.shell(clone, "dvc", "exp", "apply", "vaegan")
    again = team.shell(clone, "dvc", "repro")
    assert executed(again.stdout) == []
    rows = json.loads(team.shell(clone, "dvc", "metrics", "diff", "--json").stdout)
    assert {"metrics/encode.json", "metrics/train_rnn.json"} <= set(rows)
    plots = team.shell(clone, "dvc", "plots", "diff", "--json", "HEAD").stdout
    assert "encode_reconstructions.png" in plots


def test_what_another_has_run_is_not_run_again(team: Team, tmp_path: Path) -> None:
    clone = team.clone(tmp_path)
    run = team.shell(clone, "dvc", "exp", "run", "--pull", "-S", "vision=vaegan")
    assert executed(run.stdout) == []
    for stage in AFTER_VISION:
        assert f"'{stage}' is cached" in run.stdout


def test_a_damaged_object_is_noticed_and_mended(team: Team, tmp_path: Path) -> None:
    clone = team.clone(tmp_path)
    film = hashes(clone)["videos/evaluate.mp4"]
    shared, own = (cache / "files/md5" / film[:2] / film[2:]
                   for cache in (team.server.objects, clone / ".dvc/cache"))  # fmt: skip
    whole = shared.read_bytes()
    damage(shared)
    refused = team.shell(clone, "dvc", "pull", check=False)
    assert refused.returncode != 0
    assert "videos/evaluate.mp4" in refused.stderr
    checked = team.shell(team.first, "python", "-m", "share", "check", "-r", "team", check=False)
    assert checked.returncode == 1
    assert f"{film[:2]}/{film[2:]}" in checked.stderr
    team.shell(team.first, "python", "-m", "share", "push")
    team.shell(team.first, "python", "-m", "share", "check", "-r", "team")
    team.shell(clone, "dvc", "pull")
    assert own.read_bytes() == (clone / "videos/evaluate.mp4").read_bytes() == whole

    damage(own)
    (clone / "videos/evaluate.mp4").unlink()
    team.shell(clone, "dvc", "checkout")
    assert (clone / "videos/evaluate.mp4").read_bytes() != whole  # DVC believes it
    checked = team.shell(clone, "python", "-m", "share", "check", check=False)
    assert f"{film[:2]}/{film[2:]}" in checked.stderr
    team.shell(clone, "rm", "-r", "data", "models", "videos")
    team.shell(clone, "dvc", "pull")
    assert own.read_bytes() == (clone / "videos/evaluate.mp4").read_bytes() == whole
    assert team.shell(clone, "python", "-m", "share", "check").returncode == 0


def test_without_such_a_remote_a_line_says_so(team: Team) -> None:
    for command in ("push", "check"):
        refused = team.shell(
            team.first, "python", "-m", "share", command, "-r", "other", check=False
        )
        assert refused.stderr.strip().splitlines()[-1].startswith("error: ")
        assert "other" in refused.stderr
