"""The same bytes from one worker and from two, on the fast renderer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.test_controller import config
from wm import episodes, memory, seeding, vae, weights, workers
from wm.controller import parameter_count
from wm.executor import Processes
from wm.mdnrnn import MDNRNN, MdnRnnConfig
from wm.params import Run
from wm.rollout import Outcome
from wm.workers import Drive, Fleet, Models, Recording, drive, fast_garage, record


def test_collected_episodes_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    folders = []
    for count, shards in ((1, [[0, 1, 2]]), (2, [[2], [0, 1]])):
        folder = tmp_path / str(count)
        folder.mkdir()
        folders.append(folder)
        tasks = [Recording(ids, 7, 0.5, 40, folder) for ids in shards]
        with Processes(count, fast_garage) as executor:
            assert sum(executor.map(record, tasks)) == 3 * 41
    for id_ in range(3):
        one, two = ((folder / episodes.file_name(id_)).read_bytes() for folder in folders)
        assert one == two
    driven = [episodes.EpisodeFile(folders[0] / episodes.file_name(i)).read() for i in range(3)]
    assert [episode.id for episode in driven] == [0, 1, 2]
    assert len({episode.seed for episode in driven}) == 3
    assert (driven[0].frames[40] != driven[0].frames[0]).any()
    assert (driven[0].actions != driven[1].actions).any()


@pytest.fixture
def models(tmp_path: Path) -> Models:
    torch.manual_seed(0)
    eyes = vae.VaeConfig(latent_size=4, channels=4)
    weights.save(tmp_path / "vae", vae.VAE(eyes), {"kind": "vae", **eyes.model_dump()})
    shape = MdnRnnConfig(hidden_size=8, mixtures=2)
    memory.save(tmp_path / "rnn", MDNRNN(4, shape), shape)
    run = Run(vision="vae", scale="smoke", seed=0, precision="auto", threads=1)
    return Models(run, "fast", tmp_path / "vae", tmp_path / "rnn")


def outcome(seed: int) -> Outcome:
    return Outcome(seed, float(seed), 1, False, False, False, 0.0, None)


def test_fitness_does_not_depend_on_the_workers(models: Models) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, parameter_count(config(), 4, 8)))
    results, validations = [], []
    for count in (1, 2):
        with Processes(count, models.cockpit) as executor:
            fleet = Fleet(
                executor, config(), seed=0, episodes=2, shard_candidates=2, max_steps=60,
                patience=None,
            )  # fmt: skip
            results.append([fleet.fitness(generation, vectors) for generation in (0, 1)])
            validations.append(fleet.validation(vectors[0], 5))
    assert np.array_equal(results[0], results[1])
    assert validations[0] == validations[1]
    assert (results[0][0] != results[0][1]).any()  # other tracks
    seeds = [seeding.integer(0, "train", 0, i) for i in range(2)]
    cockpit = workers.Cockpit(models)
    for vector, fitness in zip(vectors, results[0][0], strict=True):
        alone = drive(cockpit, Drive(config(), vector[None], seeds, 0, 60))
        # a batch of another size may differ in its last bits
        assert fitness == pytest.approx(np.mean([outcome.return_ for outcome in alone]), abs=1)
    assert np.ptp(results[0][0]) > 1


def test_validation_is_always_on_the_same_tracks_and_never_on_fitness_ones() -> None:
    seen: list[tuple[int, int]] = []

    class Recorder:
        def map(self, function: object, tasks: list[Drive]) -> list[list[Outcome]]:
            seen.extend((i, seed) for i, task in enumerate(tasks) for seed in task.seeds)
            return [[outcome(seed) for seed in task.seeds] for task in tasks]

    fleet = Fleet(
        Recorder(), config(), seed=0, episodes=3, shard_candidates=4, max_steps=60, patience=None
    )  # type: ignore[arg-type]
    vector = np.zeros((1, 2))
    first, second = fleet.validation(vector[0], 10), fleet.validation(vector[0], 10)
    assert first == second
    assert seen[:10] == seen[10:]
    assert [task for task, _ in seen[:10]] == [0] * 4 + [1] * 4 + [2] * 2
    validation = {seed for _, seed in seen}
    assert len(validation) == 10
    seen.clear()
    for generation in range(5):
        fleet.fitness(generation, vector)
    assert len({seed for _, seed in seen}) == 15
    assert validation.isdisjoint(seed for _, seed in seen)


def test_recordings_are_what_was_driven(models: Models, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(1, parameter_count(config(), 4, 8)))
    task = Drive(config(), vectors, [5, 6], 0, 30, record_to=tmp_path, first_id=7)
    outcomes = drive(workers.Cockpit(models), task)
    for id_, outcome in zip((7, 8), outcomes, strict=True):
        episode = episodes.EpisodeFile(tmp_path / episodes.file_name(id_)).read()
        assert outcome.episode is None
        assert episode.seed == outcome.seed
        assert episode.rewards.sum() == outcome.return_
        assert outcome.row(3)["return"] == outcome.return_
        assert outcome.row(3)["episode"] == 3
