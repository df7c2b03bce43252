"""The real pipeline under the real DVC, at the smoke scale, in a repository of its own."""

import json
import re
from pathlib import Path

import yaml

from tests.conftest import Command
from verify.workspace import edit
from wm.params import STAGES


def executed(output: str) -> list[str]:
    return re.findall(r"Running stage '(\w+)'", output)


def test_every_promised_file_is_there(repository: Path) -> None:
    lock = yaml.safe_load((repository / "dvc.lock").read_text())["stages"]
    for stage in STAGES:
        for out in lock[stage].get("outs", []):
            assert (repository / out["path"]).exists(), out["path"]
        assert json.loads((repository / f"metrics/{stage}.json").read_text())
    assert set(json.loads((repository / "metrics/perf.json").read_text())) == set(STAGES)
    assert not list((repository / "checkpoints").glob("*-*"))


def test_both_vision_models_have_the_same_keys(repository: Path) -> None:
    of = [
        json.loads((repository / f"metrics/{stage}.json").read_text()).keys()
        for stage in ("train_vae", "train_vaegan")
    ]
    assert of[0] == of[1]
    assert {"mse", "psnr", "ssim", "road_iou", "sharpness"} <= of[0]


def test_a_second_run_executes_nothing(repository: Path, shell: Command) -> None:
    again = shell(repository, "dvc", "repro")
    assert executed(again.stdout) == []
    assert "up to date" in again.stdout


def test_forced_under_other_circumstances_gives_the_same_bytes(
    repository: Path, shell: Command
) -> None:
    blas = {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "3"}
    before = (repository / "dvc.lock").read_bytes()
    edit(repository, "workers: null", "workers: 1")
    forced = shell(
        repository, "dvc", "repro", "--force", PYTHONHASHSEED="7", TZ="Asia/Tokyo", **blas
    )
    edit(repository, "workers: 1", "workers: null")
    assert set(executed(forced.stdout)) == set(STAGES)
    assert (repository / "dvc.lock").read_bytes() == before


def test_vaegan_runs_from_encode_on_and_the_diffs_line_up(repository: Path, shell: Command) -> None:
    run = shell(repository, "dvc", "exp", "run", "-n", "vaegan", "-S", "vision=vaegan")
    after = ["encode", "train_rnn", "train_controller", "evaluate"]
    assert executed(run.stdout) == after
    rows = json.loads(shell(repository, "dvc", "metrics", "diff", "--json").stdout)
    changed = {file: set(values) for file, values in rows.items() if file != "metrics/perf.json"}
    assert {"metrics/encode.json", "metrics/train_rnn.json"} <= set(changed)
    for values in rows.values():
        for change in values.values():
            assert {"old", "new"} <= set(change)  # the same keys on both sides
    table = shell(repository, "dvc", "metrics", "diff", "--md").stdout
    assert "ssim" in table
    params = shell(repository, "dvc", "params", "diff", "--md").stdout
    assert re.search(r"vision +\| vae +\| vaegan", params)
    plots = shell(repository, "dvc", "plots", "diff", "--json", "HEAD").stdout
    assert "encode_reconstructions.png" in plots
    # either way again costs nothing: the run cache has both
    for vision in ("vae", "vaegan", "vae"):
        again = shell(repository, "dvc", "exp", "run", "-S", f"vision={vision}")
        assert executed(again.stdout) == [], vision
    shell(repository, "git", "checkout", "-q", ".")
    shell(repository, "dvc", "checkout")
    back = shell(repository, "dvc", "repro")
    assert executed(back.stdout) == []


def test_an_rnn_param_reruns_train_rnn_and_after_only(repository: Path, shell: Command) -> None:
    params = yaml.safe_load((repository / "params.yaml").read_text())
    steps = params["presets"]["smoke"]["train_rnn"]["steps"]
    run = shell(repository, "dvc", "exp", "run", "-S", f"presets.smoke.train_rnn.steps={steps + 1}")
    assert executed(run.stdout) == ["train_rnn", "train_controller", "evaluate"]
