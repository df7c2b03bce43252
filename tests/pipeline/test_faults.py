"""Bad input and a machine that refuses, under the real stages: one line, and nothing lost."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Command
from tests.pipeline.forked_stages import ForkedStages
from verify.stage import STAGES
from verify.workspace import ROOT, edit, outputs, remove, set_param
from wm.core.params import VISION_MODELS


@pytest.fixture(scope="module")
def stages(
    tmp_path_factory: pytest.TempPathFactory, identity: dict[str, str]
) -> Iterator[ForkedStages]:
    with ForkedStages(tmp_path_factory.mktemp("stages") / "errors", **identity) as forked:
        yield forked


@pytest.fixture(scope="module")
def source(repository: Path) -> Path:
    """A finished repository with one worker a stage: each takes seconds to start."""
    set_param(repository, "workers", 1)
    return repository


@pytest.fixture(scope="module")
def bare(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code and params.yaml alone: no stage has run."""
    folder = tmp_path_factory.mktemp("bare")
    for name in ("wm", "stages"):
        shutil.copytree(source / name, folder / name)
    shutil.copy(source / "params.yaml", folder)
    return folder


def contents(folder: Path) -> dict[Path, int]:
    """When each file was last written; scratch apart."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in files if "checkpoints" not in path.parts}


def fails(stages: ForkedStages, folder: Path, stage: str) -> str:
    """Runs a stage that must fail and change nothing; returns its one line."""
    before = contents(folder)
    status, said = stages.run(folder, stage, check=False)
    assert contents(folder) == before
    return one_line(status, said)


def one_line(status: int, said: str) -> str:
    assert status == 1, said
    assert "Traceback" not in said
    line = said.strip().splitlines()[-1]
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("stage", "missing"),
    [
        ("train_vae", "data/episodes"),
        ("train_vaegan", "data/episodes"),
        ("encode", "models/vae"),
        ("train_rnn", "data/episodes"),
        ("train_controller", "models/vae"),
        ("evaluate", "models/controller"),
        ("measure_rnn", "models/vae"),
        ("film", "models/vae"),
        ("dream_page", "models/vae"),
    ],
)
def test_a_stage_by_hand_names_the_missing_input(
    bare: Path, stages: ForkedStages, stage: str, missing: str
) -> None:
    line = fails(stages, bare, stage)
    assert "not found" in line
    assert missing in line


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["stages.train_vision"], "data/episodes: not found"),
        (
            ["stages.train_vision", "gan"],
            f"vision model 'gan': not one of {', '.join(VISION_MODELS)}",
        ),
    ],
)
def test_a_vision_model_is_the_one_of_the_params_or_of_the_command(
    bare: Path, shell: Command, command: list[str], reason: str
) -> None:
    before = contents(bare)
    done = shell(bare, "python", "-B", "-m", *command, check=False)
    assert contents(bare) == before
    assert reason in one_line(done.returncode, done.stderr)


SCRIPTS = sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py") if path.stem != "wm")


@pytest.mark.parametrize(("script", "path"), [("collect", ""), *((name, ".") for name in SCRIPTS)])
def test_a_script_that_is_run_as_a_file_says_how_it_is_run(
    bare: Path, shell: Command, script: str, path: str
) -> None:
    """With PYTHONPATH it would find the package, and leave NumPy's kernels to the processor."""
    command = ["python", "-B", f"stages/{script}.py", "vae"]
    done = shell(bare, *command, check=False, PYTHONPATH=path)
    line = one_line(done.returncode, done.stderr)
    assert line == f"error: run it as a module, in {bare}: python -m stages.{script} vae"


def test_a_mistyped_param_is_named(bare: Path, shell: Command, tmp_path: Path) -> None:
    folder = shutil.copytree(bare, tmp_path / "bad")
    edit(folder, "scale: smoke", "scale: tiny")
    before = contents(folder)
    done = shell(folder, "python", "-B", "-m", "stages.collect", check=False)
    assert contents(folder) == before
    line = one_line(done.returncode, done.stderr)
    assert "params.yaml: scale: " in line
    assert "tiny" in line


def test_an_episode_cut_short_is_named(source: Path, stages: ForkedStages, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "cut", ignore=shutil.ignore_patterns(".git"))
    file = min((folder / "data/episodes").iterdir())
    content = file.read_bytes()
    file.unlink()  # it may be a link into DVC's cache
    file.write_bytes(content[: len(content) // 2])
    assert f"data/episodes/{file.name}: damaged or cut short" in fails(stages, folder, "train_vae")


def test_weights_of_another_latent_size_are_named(
    source: Path, stages: ForkedStages, tmp_path: Path
) -> None:
    folder = shutil.copytree(source, tmp_path / "latent", ignore=shutil.ignore_patterns(".git"))
    config = folder / "models/vae/config.json"
    content = json.loads(config.read_text())
    content["latent_size"] += 1
    config.unlink()
    config.write_text(json.dumps(content))
    line = fails(stages, folder, "encode")
    assert "models/vae/weights.safetensors" in line
    assert "shape" in line


def test_latents_of_another_model_or_of_other_episodes_are_named(
    source: Path, stages: ForkedStages, tmp_path: Path
) -> None:
    folder = shutil.copytree(source, tmp_path / "other", ignore=shutil.ignore_patterns(".git"))
    edit(folder, "vision: vae ", "vision: vaegan ")
    assert "data/latents: not what the vision model makes of" in fails(stages, folder, "train_rnn")
    edit(folder, "vision: vaegan ", "vision: vae ")
    min((folder / "data/latents").glob("episode_*")).unlink()
    assert "data/latents: not of the episodes in data/episodes" in fails(
        stages, folder, "train_rnn"
    )


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("data/episodes/episode_000000.safetensors", "encode"),
        ("data/latents/episode_000000.safetensors", "train_rnn"),
        ("models/vae/weights.safetensors", "encode"),
        ("models/rnn/weights.safetensors", "measure_rnn"),
        ("models/rnn/weights.safetensors", "train_controller"),
        ("models/controller/weights.safetensors", "evaluate"),
        ("data/evaluation/episode_*.safetensors", "film"),
    ],
)
def test_a_flipped_bit_is_named_by_the_stage_that_reads_it(
    source: Path, stages: ForkedStages, tmp_path: Path, file: str, stage: str
) -> None:
    folder = shutil.copytree(source, tmp_path / "flip", ignore=shutil.ignore_patterns(".git"))
    (path,) = folder.glob(file)
    content = bytearray(path.read_bytes())
    content[-100] ^= 4
    path.unlink()  # it may be a link into DVC's cache
    path.write_bytes(content)
    assert f"{path.relative_to(folder)}: damaged" in fails(stages, folder, stage)


def test_an_empty_data_set_is_named(source: Path, stages: ForkedStages, tmp_path: Path) -> None:
    folder = shutil.copytree(source, tmp_path / "empty", ignore=shutil.ignore_patterns(".git"))
    for file in (folder / "data/episodes").iterdir():
        file.unlink()
    for stage in ("train_vae", "encode"):
        assert "data/episodes: 0 episode(s)" in fails(stages, folder, stage)


def test_an_output_folder_that_cannot_be_is_named(
    source: Path, stages: ForkedStages, tmp_path: Path
) -> None:
    folder = shutil.copytree(source, tmp_path / "file", ignore=shutil.ignore_patterns(".git"))
    shutil.rmtree(folder / "models")
    (folder / "models").touch()
    assert "models/vae: cannot be written" in fails(stages, folder, "train_vae")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB of its own."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs takes root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("stage", "spare"),
    [
        ("collect", 40_000),
        ("train_vae", 0),
        ("train_rnn", 40_000),
        ("measure_rnn", 0),
        ("evaluate", 40_000),
        ("film", 0),
    ],
)
def test_a_full_disk_is_one_line_and_loses_nothing(
    source: Path, stages: ForkedStages, disk: Path, stage: str, spare: int
) -> None:
    folder = shutil.copytree(source, disk / "full", ignore=shutil.ignore_patterns(".git"))
    expected = {path: path.read_bytes() for path in contents(folder) if path.name != "perf.json"}
    free = shutil.disk_usage(disk).free - spare
    (disk / "filler").write_bytes(bytes(free))
    assert "No space left on device" in fails(stages, folder, stage)
    (disk / "filler").unlink()
    remove(outputs(folder, stage))  # as DVC would have
    stages.run(folder, stage)
    assert {path: path.read_bytes() for path in expected} == expected


def test_a_disk_that_is_read_only_is_one_line(
    source: Path, stages: ForkedStages, disk: Path
) -> None:
    folder = shutil.copytree(source, disk / "ro", ignore=shutil.ignore_patterns(".git"))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for stage in ("collect", "train_vaegan", "evaluate"):
        assert "Read-only file system" in fails(stages, folder, stage)


def test_episodes_of_one_step_go_through(
    stages: ForkedStages, source: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(source, tmp_path / "short", ignore=shutil.ignore_patterns(".git"))
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(re.sub(r"max_steps: \d+", "max_steps: 1", text))
    for stage in STAGES:
        stages.run(folder, stage)
    assert json.loads((folder / "metrics/evaluate.json").read_text())["episodes"] == 4


def test_uneven_shards_are_not_driven_twice_after_a_failure(
    source: Path, stages: ForkedStages, tmp_path: Path
) -> None:
    """Five episodes in shards of two: the last shard is short, and the drives were all done when
    the stage could not write what it has made of them."""
    folder = shutil.copytree(source, tmp_path / "uneven")
    edit(folder, "evaluate: {episodes: 4,", "evaluate: {episodes: 5,")
    curve = folder / "plots/evaluate.csv"
    curve.unlink()
    curve.mkdir()
    one_line(*stages.run(folder, "evaluate", check=False))
    curve.rmdir()
    # a rate would stand there, had it driven any
    assert stages.run(folder, "evaluate")[1] == "evaluate: 5/5 episodes\n"
    rows = curve.read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["0", "1", "2", "3", "4"]
    assert len({row.split(",")[1] for row in rows}) == 5
    assert json.loads((folder / "metrics/evaluate.json").read_text())["episodes"] == 5


def test_an_output_that_dvc_would_refuse_is_said_before_the_work_and_another_cache_works(
    source: Path, stages: ForkedStages, shell: Command, tmp_path: Path
) -> None:
    folder = shutil.copytree(source, tmp_path / "linked")
    (folder / "data").rename(tmp_path / "data")
    (folder / "data").symlink_to(tmp_path / "data")
    done = shell(folder, "dvc", "repro", "--force", "-s", "collect", check=False)
    line = re.sub(r"(?m)^ERROR: .*\n", "", done.stderr)
    assert line.startswith("error: data: a link out of this repository")
    assert line.count("\n") == 1

    (folder / "data").unlink()
    match = re.search("`dvc cache dir --local .* && (dvc config .*?)`", line)
    assert match
    shell(folder, "dvc", "cache", "dir", "--local", str(tmp_path / "disk/cache"))
    shell(folder, *match[1].split())
    shell(folder, "dvc", "repro", "-s", "collect")
    for file in (folder / "data/episodes").iterdir():
        assert file.readlink().is_relative_to(tmp_path / "disk/cache")
    stages.run(folder, "encode")


def test_committed_outputs_of_a_stage_that_failed_under_dvc_come_back(
    source: Path, shell: Command, tmp_path: Path
) -> None:
    folder = shutil.copytree(source, tmp_path / "failed")
    set_param(folder, "executor", "nobody")
    done = shell(folder, "dvc", "repro", "--force", "-s", "collect", check=False)
    line = re.sub(r"(?m)^ERROR: .*\n", "", done.stderr)
    assert line.startswith("error: params.yaml: executor: ")
    assert line.count("\n") == 1
    assert not (folder / "metrics/collect.json").exists()
    match = re.search("`(git checkout -- .*?)`", line)
    assert match
    shell(folder, *match[1].split())
    assert (folder / "metrics/collect.json").exists()
