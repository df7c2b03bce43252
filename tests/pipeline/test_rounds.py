"""Rounds after the pipeline, under the real DVC: each depends on the one before and runs once."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from rounds import agents, begin, drive, evaluate, settings, train_controller, train_rnn
from rounds.__main__ import main, pipeline
from rounds.folders import MEMORY, Round
from tests.conftest import Command
from wm.control.policy import controller
from wm.control.training import search
from wm.control.training.settings import TrainController
from wm.core import artifacts, episodes, params, seeding
from wm.core.errors import UserError
from wm.core.params import Params
from wm.env.exact.checked import Evaluate
from wm.memory import latents
from wm.memory.networks import trained as memory
from wm.memory.training.learner import MdnRnnLearner
from wm.nn.compute import Compute
from wm.vision.networks import trained as vision

DREAM = {"steps": 5, "context": 10, "temperature": 1.0, "discount": 0.8, "lost_cost": 0}
SMALL: dict[str, dict[str, object]] = {
    "begin": {"searches": 2, "dream": DREAM},
    "drive": {"trial_tracks": 2, "best_tracks": 3, "max_steps": 40, "patience": None,
              "shard_episodes": 2, "measured_frames": 20},
    "train_rnn": {"steps": 4, "batch_size": 4, "sequence_length": 50, "validate_every": 2,
                  "validation_batches": 1},
    "train_controller": {
        "dream": {**DREAM, "lost_cost": 50},
        "ascent": {"steps": 3, "length": 0.1, "momentum": 0.5, "dreams": 6, "lost_share": 0.5,
                   "components": 3, "component_dreams": 4, "shard_dreams": 2,
                   "candidate_every": 2},
    },
    "evaluate": {"episodes": 2, "max_steps": 30, "shard_episodes": 2},
}  # fmt: skip


def change(repository: Path, **changes: dict[str, object]) -> None:
    """Changes keys of the rounds' parameters, section by section."""
    path = repository / settings.PATH
    document = yaml.safe_load(path.read_text())
    for section, values in changes.items():
        document[section] |= values
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The stages of the rounds that DVC has run."""
    return re.findall(r"Running stage 'rounds/dvc.yaml:([\w@]+)'", done.stdout)


def locked(repository: Path) -> dict[str, str]:
    """What the rounds' lock says of every output, path -> hash."""
    stages = yaml.safe_load((repository / "rounds/dvc.lock").read_text())["stages"]
    outs = [out for stage in stages.values() for out in stage.get("outs", [])]
    return {out["path"]: out["md5"] for out in outs}


def weights_in(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def vector_in(folder: Path) -> np.ndarray:
    return artifacts.load_tensors(folder / "weights.safetensors")["vector"]


@pytest.fixture(scope="module")
def driven(repository: Path, shell: Command) -> tuple[Path, list[str]]:
    """The repository after a round in a dream, and the stages that it took."""
    change(repository, **SMALL)
    return repository, ran(shell(repository, sys.executable, "-m", "rounds", "1"))


def of_tracks(latents_: Path) -> list[int]:
    """The tracks of the episodes beside a folder of latents."""
    folder = latents_.parent / "episodes"
    return [episodes.EpisodeFile(folder / episodes.file_name(id_)).seed
            for id_ in episodes.ids_in(folder)]  # fmt: skip


def test_a_round_drives_learns_and_searches(driven: tuple[Path, list[str]]) -> None:
    repository, stages = driven
    assert sorted(stages) == sorted(
        ["begin", "drive@0", "train_rnn@1", "train_controller@1", "drive@1", "evaluate"]
    )
    # round 0 has the pipeline's controller alone, round 1 that one again and what was found
    candidates = repository / Round(1).candidates
    assert {path.name for path in candidates.iterdir()} == {"0", "1", "2"}
    vectors = [vector_in(path) for path in
               (candidates / "0", candidates / "1", candidates / "2",
                repository / Round(0).controller, repository / "models/controller")]  # fmt: skip
    assert np.array_equal(vectors[0], vectors[3])
    assert np.array_equal(vectors[0], vectors[4])
    assert len({vector.tobytes() for vector in vectors}) == 3
    # the best one drives other tracks than the candidates, and in each round others than before
    tracks = [of_tracks(repository / Round(number).of_best) for number in (0, 1)]
    assert [len(part) for part in tracks] == [3, 3]
    trials = [seeding.integer(0, "rounds", "trials track", 1, number) for number in range(2)]
    assert len({*tracks[0], *tracks[1], *trials}) == 8
    assert episodes.ids_in(repository / Round(1).trials) == list(range(6))
    assert not (repository / Round(1).trials.parent / "episodes").exists()
    # the best is kept, and its numbers are of the tracks that did not choose it
    numbers = json.loads((repository / Round(1).metrics("drive")).read_text())
    assert numbers["best"] == int(np.argmax(numbers["trial_means"]))
    assert len(numbers["trial_means"]) == 3
    best = repository / Round(1).of_best.parent / "episodes"
    files = [episodes.EpisodeFile(best / episodes.file_name(id_)) for id_ in range(3)]
    returns = [file.rewards.sum() for file in files]
    assert numbers["mean"] == pytest.approx(np.mean(returns), abs=1e-3)
    kept = vector_in(repository / Round(1).controller)
    assert np.array_equal(kept, vectors[numbers["best"]])
    # the vision model was measured on what the best one drove
    frames = episodes.FrameSet(best, range(3))
    chosen = frames[np.linspace(0, len(frames) - 1, 20).round().astype(np.int64)]
    prepared = Compute(torch.device("cpu"), torch.float32)
    model = vision.load(repository / "models/vae", prepared)
    mu, _ = model.encode(chosen)
    assert numbers["vision"]["mse"] == pytest.approx(
        np.square((chosen / 255.0) - (model.decode(mu) / 255.0)).mean(), rel=1e-3
    )  # this process has other settings of its kernels than a stage
    # what it learns from is what was driven
    for id_, file in enumerate(files):
        encoded = latents.read(repository / Round(1).of_best, id_)
        assert np.array_equal(encoded.actions, file.actions)
        assert len(encoded.mu) == len(file)
    # the memory has learned on, and controllers still see the pipeline's
    weights = [weights_in(repository / path) for path in
               ("models/rnn", MEMORY, Round(1).dreamer)]  # fmt: skip
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
    assert json.loads((repository / "metrics/rounds/evaluate.json").read_text())["episodes"] == 2


@pytest.fixture(scope="module")
def driven_twice(
    driven: tuple[Path, list[str]], shell: Command, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """A copy of the repository after a round more, and the stages that it took."""
    repository = shutil.copytree(driven[0], tmp_path_factory.mktemp("rounds") / "twice")
    return repository, ran(shell(repository, sys.executable, "-m", "rounds", "2"))


def test_a_round_more_runs_nothing_again(
    driven: tuple[Path, list[str]], driven_twice: tuple[Path, list[str]], shell: Command
) -> None:
    repository, stages = driven_twice
    assert sorted(stages) == ["drive@2", "evaluate", "train_controller@2", "train_rnn@2"]
    before, after = locked(driven[0]), locked(repository)
    assert {path for path in before if after[path] != before[path]} <= {
        "metrics/rounds/evaluate.json", "plots/rounds/evaluate.csv"
    }  # fmt: skip
    assert ran(shell(repository, sys.executable, "-m", "rounds", "2")) == []


class AskedError(Exception):
    """Ends a stage at what it was about to do."""


def ask(
    monkeypatch: pytest.MonkeyPatch, repository: Path, stage: ModuleType, function: str,
    round_: int = 2, **changed: object,
) -> list[Any]:  # fmt: skip
    """Runs a stage of a round, with changed parameters of its own, up to its call of `function`, a
    name in its module; returns that call's arguments."""
    asked: list[Any] = []
    load = settings.load

    def load_changed(section: str, schema: type[Params]) -> Params:
        return load(section, schema).model_copy(update=changed)

    def end(*arguments: Any, **keywords: Any) -> None:
        asked.extend([*arguments, keywords])
        raise AskedError

    monkeypatch.chdir(repository)
    monkeypatch.setattr(sys, "argv", [stage.__name__, str(round_)])
    monkeypatch.setattr(settings, "load", load_changed)
    monkeypatch.setattr(f"{stage.__name__}.{function}", end)
    with pytest.raises(AskedError):
        stage.run()
    return asked


def test_a_climb_begins_at_the_best_of_the_round_before_in_the_newest_dream(
    driven_twice: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(monkeypatch, driven_twice[0], train_controller, "ascent.ascend")
    climb, world, _, start, on_h, seed, *_ = asked
    assert np.array_equal(start, vector_in(Round(1).controller))
    assert on_h.sum() == 3 * memory.read_config(MEMORY, world.latent_size).hidden_size
    assert (world.memory, world.dreamer) == (MEMORY, Round(2).dreamer)
    assert world.starts == (Round(1).of_best, Round(1).trials)
    # round 0's candidates are of other searches, each with a way of driving of its own
    assert Round(0).starts == (Round(0).of_best,)
    assert world.lost_share == climb.lost_share == 0.5
    assert seed == seeding.integer(0, "rounds", "train_controller", 2)


@pytest.fixture(scope="module")
def dreamed(driven: tuple[Path, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository whose parameters say that its controller has only dreamed."""
    repository = shutil.copytree(driven[0], tmp_path_factory.mktemp("rounds") / "dreamed")
    text = (repository / "params.yaml").read_text()
    (repository / "params.yaml").write_text(text.replace("where: simulator", "where: dream"))
    return repository


def test_where_the_pipeline_dreamed_more_searches_find_candidates(
    dreamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dreamed)
    monkeypatch.setattr(sys, "argv", ["begin"])
    generation, driven = search.drive, list[int]()
    stop_after = 1000

    def counted(*arguments: Any) -> Any:
        if len(driven) == stop_after:
            raise AskedError
        driven.append(1)
        return generation(*arguments)

    monkeypatch.setattr(search, "drive", counted)
    begin.run()
    generations = len(driven)  # of both searches
    folders = sorted(Round(0).candidates.iterdir())
    assert [folder.name for folder in folders] == ["0", "1", "2"]
    vectors = [vector_in(folder) for folder in folders]
    assert np.array_equal(vectors[0], vector_in(Path("models/controller")))
    assert len({vector.tobytes() for vector in vectors}) == 3

    # killed before the last generation of the second search, it repeats none
    driven.clear()
    stop_after = generations - 1
    with pytest.raises(AskedError):
        begin.run()
    driven.clear()
    stop_after = 1000
    begin.run()
    assert len(driven) == 1
    again = [vector_in(folder) for folder in sorted(Round(0).candidates.iterdir())]
    assert np.array_equal(again, vectors)
    assert not list(Path("checkpoints").glob("round_0_*"))

    # killed before the candidates are in place, it repeats none either
    def end(*_: Any) -> None:
        raise AskedError

    with monkeypatch.context() as apart:
        apart.setattr(begin.candidates, "publish", end)
        with pytest.raises(AskedError):
            begin.run()
    driven.clear()
    begin.run()
    assert not driven
    again = [vector_in(folder) for folder in sorted(Round(0).candidates.iterdir())]
    assert np.array_equal(again, vectors)


def test_the_searches_are_the_pipelines_with_other_seeds_and_dreams(
    dreamed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(monkeypatch, dreamed, begin, "search")
    train, world, _, start, on_h, seed, *_ = asked
    of_pipeline = params.load("train_controller", TrainController)[1].model_dump()
    assert train.model_dump() == of_pipeline | {"dream": DREAM}
    assert world.params.model_dump() == DREAM
    assert (world.memory, world.dreamer, world.starts) == (MEMORY, MEMORY, (begin.LATENTS,))
    assert np.array_equal(start, controller.biased(train.start_bias, len(on_h)))
    assert seed == seeding.integer(0, "rounds", "begin", 1)
    name, key, inputs, _ = ask(monkeypatch, dreamed, begin, "Checkpoint")
    assert name == "round_0_begin"
    assert set(key) == {"seed", "precision", "device", *TrainController.model_fields}
    assert inputs == [MEMORY, begin.LATENTS, begin.CONTROLLER]


def test_begin_depends_on_the_parameters_that_it_searches_by() -> None:
    stage = yaml.safe_load(Path("rounds/pipeline.yaml").read_text())["stages"]["begin"]
    searched = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]["train_controller"]
    assert stage["params"] == [*searched["params"], {"rounds/params.yaml": ["begin"]}]
    read = {"data/latents", "models/${vision}", "models/rnn", "models/controller"}
    assert read <= set(stage["deps"])


@pytest.mark.parametrize(
    ("stage", "folders"),
    [
        (
            train_rnn,
            [Round(1).dreamer, Path("data/latents"), Round(0).trials, Round(0).of_best,
             Round(1).trials, Round(1).of_best],
        ),
        (
            train_controller,
            [MEMORY, Round(2).dreamer, Round(1).of_best, Round(1).trials, Round(1).controller],
        ),
    ],
)  # fmt: skip
def test_no_round_goes_on_with_the_state_of_another(
    driven_twice: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, stage: ModuleType,
    folders: list[Path],
) -> None:  # fmt: skip
    name, key, inputs, *_ = ask(monkeypatch, driven_twice[0], stage, "Checkpoint")
    own = name.removeprefix("round_2_")
    schema = {"train_rnn": train_rnn.TrainRnn, "train_controller": train_controller.TrainController}
    shared = {"seed", "precision", "device"} | ({"threads"} if own == "train_rnn" else set())
    assert set(key) == shared | set(schema[own].model_fields)
    assert inputs == folders


def test_the_candidates_drive_with_the_rounds_parameters_on_its_own_tracks(
    driven_twice: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tasks, *_ = ask(monkeypatch, driven_twice[0], drive, "agents.drive", patience=7)
    tracks = [seeding.integer(0, "rounds", "trials track", 2, number) for number in range(2)]
    assert [task.seeds for task in tasks] == [tracks] * len(tasks)
    assert sum(len(task.vectors) for task in tasks) == 3
    assert [task.first_id for task in tasks] == [0, 2, 4]
    assert {(task.max_steps, task.patience, task.off_road_cost) for task in tasks} == {(40, 7, 0)}
    assert len({task.noise_seed for task in tasks}) == len(tasks)


def test_the_memory_of_the_round_before_learns_on_from_collected_and_driven_windows(
    driven_twice: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, _ = driven_twice
    learner, batch, _, keywords = ask(monkeypatch, repository, train_rnn, "loop.train")
    before = artifacts.load_tensors(Round(1).dreamer / "weights.safetensors")
    for name, weight in learner.model.state_dict().items():
        assert np.array_equal(weight, before[name]), name
    of_rounds = [
        {mu.tobytes() for id_ in episodes.ids_in(folder) for mu in latents.read(folder, id_).mu}
        for folder in (Round(0).trials, Round(0).of_best, Round(1).trials, Round(1).of_best)
    ]
    found = [
        [first.tobytes() in of_round for first in batch(step).mu[:, 0].numpy()]
        for of_round in of_rounds for step in range(20)
    ]  # fmt: skip
    in_drives = np.array(found).reshape(4, 20, 4)
    assert in_drives.any(axis=(1, 2)).all()  # of either round, of all candidates and of the best
    assert np.array_equal(in_drives.any(axis=0), [[True, True, False, False]] * 20)
    ids, _ = episodes.split(episodes.ids_in("data/latents"))
    learned = {mu.tobytes() for id_ in ids for mu in latents.read(Path("data/latents"), id_).mu}
    for step in range(20):  # and none of a held-out episode
        assert all(first.tobytes() in learned for first in batch(step).mu[2:, 0].numpy())
    assert keywords["seed"] == seeding.integer(0, "rounds", "train_rnn", 2)
    of_round_1 = ask(monkeypatch, repository, train_rnn, "loop.train", round_=1)[1]
    assert not torch.equal(batch(0).mu[2:], of_round_1(0).mu[2:])


def test_what_a_worker_that_died_has_left_is_not_kept(
    driven: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster another worker does its task, and the folder's hash is DVC's."""
    monkeypatch.chdir(shutil.copytree(driven[0], tmp_path / "left"))
    monkeypatch.setattr(sys, "argv", ["drive", "0"])
    real = agents.drive

    def left(executor: Any, tasks: Any, title: str) -> Any:
        (tasks[0].record_to / ".episode_000003.safetensors.1-deadbeef.tmp").touch()
        return real(executor, tasks, title)

    monkeypatch.setattr(agents, "drive", left)
    drive.run()
    kept = {path.relative_to(Round(0).drives).as_posix() for path in Round(0).drives.rglob("*")}
    assert {name for name in kept if "tmp" in name or "driven" in name} == set()
    assert len(episodes.ids_in(Round(0).trials)) == 2
    assert len(episodes.ids_in(Round(0).of_best)) == 3


def test_a_memory_that_is_killed_learns_on_where_it_was(
    driven_twice: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(driven_twice[0], tmp_path / "killed"))
    monkeypatch.setattr(sys, "argv", ["train_rnn", "2"])
    monkeypatch.setattr("wm.runtime.checkpoint.SAVE_EVERY", 0.0)
    train_rnn.run()  # here, too: this process has other settings of its kernels than a stage
    whole = weights_in(Round(2).dreamer)
    step, taken = MdnRnnLearner.step, list[int]()

    def counted(self: MdnRnnLearner, *arguments: Any) -> Any:
        if len(taken) == 3:
            raise AskedError
        taken.append(1)
        return step(self, *arguments)

    monkeypatch.setattr(MdnRnnLearner, "step", counted)
    with pytest.raises(AskedError):
        train_rnn.run()
    taken.clear()
    train_rnn.run()
    assert len(taken) == 1  # of four
    assert weights_in(Round(2).dreamer) == whole


def test_the_best_of_the_last_round_is_evaluated(
    driven_twice: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, _ = driven_twice
    with monkeypatch.context() as apart:
        _, create_worker, *_ = ask(apart, repository, evaluate, "create_executor")
    assert create_worker.__self__.memory == MEMORY
    _, tasks, *_ = ask(monkeypatch, repository, evaluate, "agents.drive")
    assert all(np.array_equal(task.vectors, [vector_in(Round(2).controller)]) for task in tasks)


def test_forced_with_two_workers_gives_the_same_bytes(
    driven: tuple[Path, list[str]], shell: Command
) -> None:
    repository, _ = driven
    before = locked(repository)
    text = (repository / "params.yaml").read_text()
    (repository / "params.yaml").write_text(re.sub("workers: 1", "workers: 2", text))
    for stage in ("train_controller@1", "drive@1"):
        name = f"rounds/dvc.yaml:{stage}"
        forced = shell(repository, "dvc", "repro", "--force", "--single-item", name)
        assert ran(forced) == [stage]
    (repository / "params.yaml").write_text(text)
    assert locked(repository) == before


def test_a_round_that_no_search_has_prepared_is_named(
    driven: tuple[Path, list[str]], shell: Command
) -> None:
    done = shell(driven[0], sys.executable, "-m", "rounds.drive", "7", check=False)
    assert done.returncode == 1
    assert "error: models/rounds/7/candidates: no candidates; make rounds" in done.stderr


def test_the_pipeline_is_written_for_as_many_as_are_asked_for() -> None:
    stages = yaml.safe_load(pipeline(3))
    assert stages["vars"][1:] == [
        {"rounds": [0, 1, 2, 3]}, {"before": {"1": 0, "2": 1, "3": 2}}, {"last": 3}
    ]  # fmt: skip
    assert stages["stages"] == yaml.safe_load(Path("rounds/pipeline.yaml").read_text())["stages"]


@pytest.mark.parametrize("number", ["0", "1000", "-1", "two"])
def test_a_number_of_rounds_that_cannot_be_is_one_line(
    number: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rounds", "--", number])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.endswith(f"argument rounds: {number}: rounds are 1 to 999\n")


@pytest.mark.parametrize(
    ("section", "line", "complaint"),
    [
        (
            "evaluate",
            "evaluate: {renderer: exact, checked_episodes: 0, first_track: 0, episodes: 1}",
            r"rounds/params.yaml: evaluate.episodes: .* than or equal to 2, not 1",
        ),
        ("evaluate", "evaluate: 3", r"rounds/params.yaml: evaluate must be a mapping"),
        ("evaluate", "drive: {}", r"rounds/params.yaml: evaluate: missing; add it"),
        ("evaluate", "evaluate: [", r"rounds/params.yaml: not valid YAML"),
        ("evaluate", "evaluate: 2026-99-99", r"rounds/params.yaml: not valid YAML"),
        ("evaluate", "evaluate: {48: 1}", r"rounds/params.yaml: evaluate.48: unknown key; known"),
    ],
)
def test_parameters_that_cannot_be_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str, line: str, complaint: str
) -> None:
    (tmp_path / "rounds").mkdir()
    (tmp_path / settings.PATH).write_text(line)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=complaint):
        settings.load(section, Evaluate)


def test_the_committed_parameters_are_valid() -> None:
    assert settings.load("train_controller", train_controller.TrainController).ascent.steps > 0
