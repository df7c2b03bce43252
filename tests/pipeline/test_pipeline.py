"""The real pipeline under the real DVC, at the smoke scale, in a repository of its own."""

import contextlib
import json
import re
import subprocess
import time
from pathlib import Path

import pytest
import torch
import yaml

from tests.conftest import Command, executed, put_back
from verify.smoke import ENCODED, RECORDED
from verify.stage import STAGES
from verify.workspace import ROOT, environment, hashes, set_param
from wm.core import processor
from wm.core.params import load_shared

DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_every_promised_file_is_there(repository: Path) -> None:
    lock = yaml.safe_load((repository / "dvc.lock").read_text())["stages"]
    for stage in STAGES:
        for out in lock[stage].get("outs", []):
            assert (repository / out["path"]).exists(), out["path"]
        for metrics in DVC[stage].get("metrics", []):
            for path in metrics:
                assert json.loads((repository / path).read_text())
        for plot in DVC[stage].get("plots", []):
            for path in plot:
                assert (repository / path).stat().st_size, path
    costs = json.loads((repository / "metrics/perf.json").read_text())
    assert set(costs) == set(STAGES) - {"dream_page", "costs"}
    assert not list((repository / "checkpoints").glob("*-*"))


def test_both_vision_models_have_the_same_keys(repository: Path) -> None:
    of = [
        json.loads((repository / f"metrics/{stage}.json").read_text()).keys()
        for stage in ("train_vae", "train_vaegan")
    ]
    assert of[0] == of[1]
    assert {"mse", "psnr", "ssim", "road_iou", "sharpness"} <= of[0]


@pytest.mark.skipif(
    processor.kind(load_shared().precision) != processor.PORTABLE,
    reason="promised of x86-64 with AVX2",
)
def test_the_bytes_are_those_of_other_makers_processors(repository: Path) -> None:
    recorded = json.loads(RECORDED.read_text())
    if torch.__version__ != recorded["torch"]:
        pytest.skip("promised of the pinned versions")
    found = hashes(repository, but=ENCODED)  # and of other vision models, if there are any
    assert {path: found.get(path) for path in recorded["hashes"]} == recorded["hashes"], (
        f"recorded on {recorded['processor']}; if results have changed on purpose, record them "
        "again: python -m verify.smoke --record"
    )


def test_a_second_run_executes_nothing(repository: Path, shell: Command) -> None:
    again = shell(repository, "dvc", "repro")
    assert executed(again.stdout) == []
    assert "up to date" in again.stdout


def test_forced_under_other_circumstances_gives_the_same_bytes(
    repository: Path, shell: Command
) -> None:
    kernels = {
        "OPENBLAS_CORETYPE": "Nehalem",
        "OPENBLAS_NUM_THREADS": "3",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
    }
    before = (repository / "dvc.lock").read_bytes()
    set_param(repository, "workers", 2)
    forced = shell(
        repository, "dvc", "repro", "--force", PYTHONHASHSEED="7", TZ="Asia/Tokyo", **kernels
    )
    set_param(repository, "workers", 1)
    assert set(executed(forced.stdout)) == set(STAGES)
    assert (repository / "dvc.lock").read_bytes() == before


def test_vaegan_runs_from_encode_on_and_the_diffs_line_up(repository: Path, shell: Command) -> None:
    run = shell(repository, "dvc", "exp", "run", "-n", "vaegan", "-S", "vision=vaegan")
    after = [*STAGES[STAGES.index("encode") :]]
    assert sorted(executed(run.stdout)) == sorted(after)
    rows = json.loads(shell(repository, "dvc", "metrics", "diff", "--json").stdout)
    changed = {file: set(values) for file, values in rows.items() if file != "metrics/perf.json"}
    assert {"metrics/encode.json", "metrics/train_rnn.json"} <= set(changed)
    for file, values in rows.items():
        for key, change in values.items():  # a side that has no such key says None
            assert file == "metrics/perf.json" or None not in (change["old"], change["new"]), key
    table = shell(repository, "dvc", "metrics", "diff", "--md").stdout
    assert "ssim" in table
    params = shell(repository, "dvc", "params", "diff", "--md").stdout
    assert re.search(r"vision +\| vae +\| vaegan", params)
    plots = shell(repository, "dvc", "plots", "diff", "--json", "HEAD").stdout
    assert "encode_reconstructions.png" in plots
    # either way again costs nothing: the run cache has both; and each has its own costs beside it
    costs = repository / "metrics/perf.json"
    of = {"vaegan": json.loads(costs.read_text())}
    of["vae"] = json.loads(shell(repository, "git", "show", "HEAD:metrics/perf.json").stdout)
    for stage in ("encode", "train_rnn", "evaluate"):
        assert of["vae"][stage]["result"] != of["vaegan"][stage]["result"]
    for vision in ("vae", "vaegan"):
        again = shell(repository, "dvc", "exp", "run", "-S", f"vision={vision}")
        assert executed(again.stdout) == ["costs"], vision
        now = json.loads(costs.read_text())
        assert {stage: now[stage]["result"] for stage in now} == {
            stage: of[vision][stage]["result"] for stage in of[vision]
        }
    put_back(repository, shell)
    back = shell(repository, "dvc", "repro")
    assert executed(back.stdout) == []


def test_gymnasium_s_own_renderer_gives_the_same_evaluation(
    repository: Path, shell: Command
) -> None:
    before = hashes(repository)
    run = shell(repository, "dvc", "exp", "run", "-S", "evaluate.renderer=official", "evaluate")
    assert executed(run.stdout) == ["evaluate"]
    for output in ("data/evaluation", "plots/evaluate.csv", "metrics/evaluate.json"):
        assert hashes(repository)[output] == before[output], output
    put_back(repository, shell)


def test_an_rnn_param_reruns_train_rnn_and_after_only(repository: Path, shell: Command) -> None:
    params = yaml.safe_load((repository / "params.yaml").read_text())
    steps = params["presets"]["smoke"]["train_rnn"]["steps"]
    run = shell(repository, "dvc", "exp", "run", "-S", f"presets.smoke.train_rnn.steps={steps + 1}")
    after = [*STAGES[STAGES.index("train_rnn") :]]
    assert sorted(executed(run.stdout)) == sorted(after)


def test_two_queued_experiments_share_the_episodes(
    repository: Path, shell: Command, identity: dict[str, str]
) -> None:
    put_back(repository, shell)
    # a reflink, where the file system has it, would be no less shared, but cannot be told by inode
    shell(repository, "dvc", "config", "--local", "cache.type", "hardlink,copy")
    for steps in (7, 8):
        change = f"presets.smoke.train_rnn.steps={steps}"
        shell(
            repository,
            "dvc",
            "exp",
            "run",
            "--queue",
            "-n",
            f"steps-{steps}",
            "-S",
            change,
            "train_rnn",
        )
    # its workers keep a pipe open
    subprocess.run(["dvc", "queue", "start", "-j", "2"], cwd=repository,
                   env=environment(**identity), stdout=subprocess.DEVNULL, check=True)  # fmt: skip
    cached = {path.stat().st_ino for path in (repository / ".dvc/cache/files").rglob("*")}
    seen: set[Path] = set()  # not counted at once: one worker of the queue may take both tasks
    deadline = time.monotonic() + 240
    while (listed := shell(repository, "dvc", "queue", "status").stdout).count("Success") < 2:
        assert "Failed" not in listed, listed
        assert time.monotonic() < deadline, listed
        for copy in (repository / ".dvc/tmp/exps").glob("tmp*/data/episodes"):
            with contextlib.suppress(FileNotFoundError):  # it may be cleared away
                assert {path.stat().st_ino for path in copy.iterdir()} <= cached
                seen.add(copy)
        time.sleep(0.2)
    assert len(seen) == 2
    experiments = shell(repository, "dvc", "exp", "list", "--name-only").stdout.split()
    assert {"steps-7", "steps-8"} <= set(experiments)
    assert shell(repository, "dvc", "status").stdout.strip().endswith("up to date.")
