"""Stages of the real pipeline on a Dask cluster, under the real DVC."""

import subprocess
from pathlib import Path

from tests.conftest import Command, await_file, executed, put_back
from tests.servers import Dask
from verify.workspace import edit, environment, outputs, remove


def test_a_cluster_that_loses_a_worker_gives_the_same_bytes(
    repository: Path, shell: Command, identity: dict[str, str]
) -> None:
    """Its executor is no parameter of a stage: DVC has to be told to run it again."""
    before = (repository / "dvc.lock").read_bytes()
    stages = ["collect", "train_controller", "evaluate"]
    dask = Dask(repository)
    try:
        workers = [dask.add_worker() for _ in range(3)]
        edit(repository, "executor: process", "executor: dask")
        edit(repository, "scheduler: null", f"scheduler: {dask.address}")
        assert executed(shell(repository, "dvc", "repro").stdout) == []
        run = subprocess.Popen(["dvc", "repro", "--force", "--single-item", *stages],
                               cwd=repository, env=environment(**identity), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        await_file(repository, "checkpoints/train_controller-*/state")
        for worker in workers[:2]:  # -9, in mid-generation: its two tasks are with two of the three
            worker.kill()
        dask.add_worker()
        output, _ = run.communicate(timeout=240)
        assert executed(output) == stages, output
        assert (repository / "dvc.lock").read_bytes() == before
    finally:
        dask.stop()
        put_back(repository, shell)


def test_a_stage_that_loses_its_cluster_resumes_with_the_same_bytes(
    repository: Path, shell: Command, identity: dict[str, str]
) -> None:
    made = outputs(repository, "train_controller")
    files = [file for path in made for file in (path.iterdir() if path.is_dir() else [path])]
    expected = {file: file.read_bytes() for file in files}
    assert len(expected) == 5
    command = ["python", "-B", "-m", "stages.train_controller"]
    dask = Dask(repository)
    try:
        dask.add_worker()
        edit(repository, "executor: process", "executor: dask")
        edit(repository, "scheduler: null", f"scheduler: {dask.address}")
        run = subprocess.Popen(command, cwd=repository, env=environment(**identity), text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
        await_file(repository, "checkpoints/train_controller-*/state")
        dask.scheduler.kill()
        dask.scheduler.wait()
        _, said = run.communicate(timeout=120)
        assert run.returncode == 1
        assert "Traceback" not in said
        assert said.strip().splitlines()[-1].startswith(f"error: scheduler {dask.address}: lost")
        assert list(repository.glob("checkpoints/train_controller-*/state"))
        dask.start_scheduler()
        dask.add_worker()
        remove(made)  # as DVC would have
        shell(repository, *command)
        assert {file: file.read_bytes() for file in files} == expected
        assert not list(repository.glob("checkpoints/train_controller-*"))
    finally:
        dask.stop()
        put_back(repository, shell)
