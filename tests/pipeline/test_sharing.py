"""A cache and experiments shared by real servers, S3 and SSH, between clones of one repository."""

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Command, executed
from tests.servers import SERVERS, Server
from verify.stage import STAGES
from verify.workspace import environment, hashes

AFTER_VISION = [*STAGES[STAGES.index("encode") : STAGES.index("costs")]]


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

    def push(self) -> None:
        self.shell(self.first, "dvc", "push")
        self.shell(self.first, "python", "-m", "share", "push")
        self.shell(self.first, "dvc", "exp", "push", "origin", "vaegan")

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


@pytest.fixture(scope="module")
def pushed(team: Team) -> Team:
    team.push()
    return team


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def damage(path: Path, cut_short: bool) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()  # the other names of a hard link stay whole
    path.write_bytes(content[: len(content) // 2] if cut_short else content)
    path.chmod(0o444)  # as it was: what DVC takes for whole


def test_a_push_that_was_killed_is_noticed_and_finished(team: Team, tmp_path: Path) -> None:
    team.kill(team.first, "dvc", "push", "--jobs", "1", at=team.server.objects)
    there = len(files(team.server.objects))
    clone = team.clone(tmp_path)
    early = team.shell(clone, "dvc", "pull", check=False)
    assert early.returncode != 0
    assert "failed to pull data" in early.stderr
    team.push()
    assert len(files(team.server.objects)) > there
    team.shell(clone, "dvc", "pull")
    assert team.shell(clone, "dvc", "status").stdout.strip().endswith("up to date.")


def test_a_clone_pulls_though_killed_and_runs_nothing(pushed: Team, tmp_path: Path) -> None:
    clone = pushed.clone(tmp_path)
    pushed.kill(clone, "dvc", "pull", "--jobs", "1", at=clone / ".dvc/cache/files")
    there = len(files(clone / ".dvc/cache/files"))
    pushed.shell(clone, "dvc", "pull")
    assert len(files(clone / ".dvc/cache/files")) > there  # it had been cut off
    again = pushed.shell(clone, "dvc", "repro")
    assert executed(again.stdout) == []
    assert hashes(clone) == hashes(pushed.first)
    for name in hashes(clone):
        assert (clone / name).exists()
    changed = pushed.shell(clone, "git", "status", "--porcelain").stdout
    assert changed == ""


def test_an_experiment_comes_along_and_is_compared(pushed: Team, tmp_path: Path) -> None:
    clone = pushed.clone(tmp_path)
    pushed.shell(clone, "dvc", "pull")
    pushed.shell(clone, "dvc", "exp", "pull", "origin", "vaegan")
    pushed.shell(clone, "dvc", "exp", "apply", "vaegan")
    again = pushed.shell(clone, "dvc", "repro")
    assert executed(again.stdout) == []
    rows = json.loads(pushed.shell(clone, "dvc", "metrics", "diff", "--json").stdout)
    assert {"metrics/encode.json", "metrics/train_rnn.json"} <= set(rows)
    plots = pushed.shell(clone, "dvc", "plots", "diff", "--json", "HEAD").stdout
    assert "encode_reconstructions.png" in plots


def test_what_another_has_run_is_not_run_again(pushed: Team, tmp_path: Path) -> None:
    clone = pushed.clone(tmp_path)
    run = pushed.shell(clone, "dvc", "exp", "run", "--pull", "-S", "vision=vaegan")
    assert executed(run.stdout) == ["costs"]  # which finds that none was paid here
    assert "encode" not in json.loads((clone / "metrics/perf.json").read_text())
    for stage in AFTER_VISION:
        assert f"'{stage}' is cached" in run.stdout


@pytest.mark.parametrize("cut_short", [False, True])
def test_a_damaged_object_is_noticed_and_mended(
    pushed: Team, tmp_path: Path, cut_short: bool
) -> None:
    """One of a folder's: a push takes it for present where the folder's list is."""
    clone = pushed.clone(tmp_path)
    episode = pushed.first / "data/episodes/episode_000001.safetensors"
    whole = episode.read_bytes()
    oid = hashlib.md5(whole).hexdigest()
    shared, own = (cache / "files/md5" / oid[:2] / oid[2:]
                   for cache in (pushed.server.objects, clone / ".dvc/cache"))  # fmt: skip
    damage(shared, cut_short)
    time.sleep(1.5)  # what rclone knows of a file is at most a second old
    refused = pushed.shell(clone, "dvc", "pull", check=False)
    assert refused.returncode != 0
    assert "failed to pull data" in refused.stderr
    check = ("python", "-m", "share", "check")
    checked = pushed.shell(pushed.first, *check, "-r", "team", check=False)
    assert checked.returncode == 1
    assert f"{oid[:2]}/{oid[2:]}" in checked.stderr
    pushed.push()
    pushed.shell(pushed.first, *check, "-r", "team")
    pushed.shell(clone, "dvc", "pull")
    copy = clone / "data/episodes/episode_000001.safetensors"
    assert own.read_bytes() == copy.read_bytes() == whole

    damage(own, cut_short)
    shutil.rmtree(clone / "data/episodes")
    pushed.shell(clone, "dvc", "checkout", check=False)
    checked = pushed.shell(clone, *check, check=False)
    assert f"{oid[:2]}/{oid[2:]}" in checked.stderr
    pushed.shell(clone, "rm", "-rf", "data", "models", "videos")
    pushed.shell(clone, "dvc", "pull")
    assert own.read_bytes() == copy.read_bytes() == whole
    assert pushed.shell(clone, *check).returncode == 0


def test_a_check_that_was_killed_is_finished_by_the_next(pushed: Team) -> None:
    """It had removed a damaged file, and not yet the folder's list, for which a push goes by."""
    oid = hashlib.md5((pushed.first / "data/episodes/episode_000001.safetensors").read_bytes())
    name = oid.hexdigest()
    shared = pushed.server.objects / "files/md5" / name[:2] / name[2:]
    shared.unlink()
    time.sleep(1.5)  # what rclone knows of a file is at most a second old
    command = ("python", "-m", "share", "check", "-r", "team")
    checked = pushed.shell(pushed.first, *command, check=False)
    assert checked.returncode == 1
    assert ".dir: a folder that lacks some of its files" in checked.stderr
    pushed.push()
    assert shared.exists()


def test_a_run_that_is_no_longer_whole_is_left_out(pushed: Team) -> None:
    """As after `dvc gc`, which leaves records of runs whose outputs it has removed."""
    name = hashes(pushed.first)["data/latents"]
    own, shared = (cache / "files/md5" / name[:2] / name[2:]
                   for cache in (pushed.first / ".dvc/cache", pushed.server.objects))  # fmt: skip
    content = own.read_bytes()
    own.unlink()
    shared.unlink()
    time.sleep(1.5)  # what rclone knows of a file is at most a second old
    command = ("python", "-m", "share", "push")
    done = pushed.shell(pushed.first, *command)
    assert done.stdout == "0 objects sent\n"
    assert "notice: 1 runs are left out: this cache no longer has all that they" in done.stderr
    own.write_bytes(content)
    own.chmod(0o444)
    done = pushed.shell(pushed.first, *command)
    assert "left out" not in done.stderr
    assert shared.read_bytes() == content


def test_without_such_a_remote_a_line_says_so(team: Team) -> None:
    for command in ("push", "check"):
        refused = team.shell(
            team.first, "python", "-m", "share", command, "-r", "other", check=False
        )
        assert refused.stderr.strip().splitlines()[-1].startswith("error: ")
        assert "other" in refused.stderr
