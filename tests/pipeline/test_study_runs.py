"""The study at the smoke scale, under the real DVC."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.conftest import Command, await_file, executed, put_back
from verify.workspace import edit, environment, hashes
from wm.core.artifacts import load_tensors
from wm.runtime.checkpoint import DIGEST_SIZE

STUDY = ("python", "-m", "study", "run", "--only")
EXHIBITS = """
from study import exhibits, grid
exhibits.VAEGAN = next(variant for variant in grid.CONTROLS if variant.name == "untrained-memory")
exhibits.write(0)
"""


def kept(repository: Path, cell: str) -> dict:
    return json.loads((repository / "results/runs" / cell / "run.json").read_text())


def test_the_study_takes_what_has_been_run_from_the_cache(repository: Path, shell: Command) -> None:
    put_back(repository, shell)
    done = shell(repository, *STUDY, "vae-0")
    assert executed(done.stdout) == []
    run = kept(repository, "vae-0")
    assert run["hashes"]["models/controller"] == hashes(repository)["models/controller"]
    returns = json.loads((repository / "metrics/evaluate.json").read_text())
    assert run["metrics"]["evaluate"] == returns
    controller, driven = (
        repository / "results/runs/vae-0/controller",
        repository / "models/controller",
    )
    names = sorted(path.name for path in driven.iterdir())
    assert sorted(path.name for path in controller.iterdir()) == names
    for name in names:
        assert (controller / name).read_bytes() == (driven / name).read_bytes()
    cost = json.loads((repository / "metrics/perf.json").read_text())["train_vae"]
    del cost["result"]
    assert run["costs"]["train_vision"] == cost  # the commit's, who paid for it
    again = shell(repository, *STUDY, "vae-0")
    assert "vae-0" not in again.stderr


def test_what_the_cache_does_not_have_is_one_line(
    repository: Path, shell: Command, tmp_path: Path
) -> None:
    """As of an experiment that was pulled without its data."""
    shutil.rmtree(repository / "results/runs/vae-0")
    local = repository / ".dvc/config.local"
    before = local.read_bytes() if local.exists() else b""
    local.write_text(f"[cache]\n    dir = {tmp_path}\n")
    failed = shell(repository, *STUDY, "vae-0", check=False)
    local.write_bytes(before)
    assert failed.stderr.splitlines()[-1] == (
        "error: vae-0: models/controller of its experiment is not in DVC's cache; `dvc exp pull "
        "<remote> vae-0`, or `dvc exp remove vae-0` to run it again"
    )
    assert not (repository / "results/runs/vae-0").exists()
    shell(repository, *STUDY, "vae-0")


def test_the_study_resumes_after_a_kill(
    repository: Path, shell: Command, identity: dict[str, str]
) -> None:
    """Killed with all that it had started, it goes on where it was."""
    command = [*STUDY, "untrained-memory-0"]
    first = subprocess.Popen(command, cwd=repository, env=environment(**identity),
                             start_new_session=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    await_file(repository, "checkpoints/train_controller-*/state")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    (state,) = repository.glob("checkpoints/train_controller-*/state")
    saved = json.loads(state.read_bytes()[DIGEST_SIZE:])
    body = json.dumps(saved | {"elapsed": saved["elapsed"] + 1000}).encode()
    state.write_bytes(hashlib.sha256(body).digest() + body)
    again = shell(repository, *command)
    # what had ended is in DVC's cache
    assert {*executed(again.stdout)} - {"measure_rnn"} == {"train_controller", "evaluate"}
    run = kept(repository, "untrained-memory-0")
    assert run["error"] is None
    assert run["changes"] == ["vision=vae", "presets.smoke.train_rnn.steps=0", "seed=0"]
    assert run["hashes"]["models/vae"] == kept(repository, "vae-0")["hashes"]["models/vae"]
    assert run["hashes"]["models/rnn"] != kept(repository, "vae-0")["hashes"]["models/rnn"]
    assert run["costs"]["train_vision"] == kept(repository, "vae-0")["costs"]["train_vision"]
    # it went on from the state: it cost what that says, and more
    assert run["costs"]["train_controller"]["seconds"] > 1000
    # it had ended before the kill, and what it cost is kept
    assert "train_rnn" in run["costs"]
    assert len((repository / "results/study.csv").read_text().splitlines()) == 3


def test_the_study_makes_exhibits_of_kept_runs(repository: Path, shell: Command) -> None:
    shell(repository, "python", "-c", EXHIBITS)
    facts = json.loads((repository / "results/exhibits.json").read_text())
    tensors = load_tensors(repository / "results/exhibits.safetensors")
    assert facts["cells"] == ["vae-0", "untrained-memory-0"]
    assert len(facts["drives"]) == 4
    for number, drive in enumerate(facts["drives"]):
        assert tensors[f"path_{number}"].shape == (drive["steps"] + 1, 3)
    assert len(tensors["dream_vae"]) == len(facts["dream_steps"])


def test_in_a_clone_exhibits_say_what_brings_the_models_back(
    repository: Path, shell: Command, tmp_path: Path
) -> None:
    shell(tmp_path, "git", "clone", "-q", str(repository), "clone")
    clone = tmp_path / "clone"
    shutil.copytree(repository / "results/runs", clone / "results/runs", dirs_exist_ok=True)
    failed = shell(clone, "python", "-c", EXHIBITS, check=False)
    assert failed.stderr.splitlines()[-1].endswith(
        "vae-0: its experiment is not in this repository; `dvc exp pull <remote> vae-0`, or delete "
        "results/runs/vae-0 and run `python -m study run --only vae-0`"
    )


def test_a_cell_that_fails_stays_in_the_table(repository: Path, shell: Command) -> None:
    # a key that changes no result: with another one vae-0 would not compare
    edit(repository, "workers: 1", "workers: 0")
    uncommitted = shell(repository, *STUDY, "vaegan-0", check=False)
    assert uncommitted.stderr.startswith("error: params.yaml: not committed")
    shell(repository, "git", "commit", "-qam", "a value that every stage refuses")
    failed = shell(repository, *STUDY, "vaegan-0", check=False)
    assert failed.returncode == 1
    assert failed.stderr.endswith(
        "error: vaegan-0: failed; results/runs/<cell>/run.json says why\n"
    )
    error = kept(repository, "vaegan-0")["error"]
    assert error.startswith("error: params.yaml: workers")
    assert "vaegan-0" in (repository / "results/study.csv").read_text()
    shell(repository, "git", "revert", "--no-edit", "HEAD")
