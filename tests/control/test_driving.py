"""What a worker drives and records with models from disk, on the fast renderer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.control.test_controller import config
from wm.control.policy.controller import parameter_count
from wm.control.policy.driving import (
    AgentSpec,
    RolloutTask,
    agent_spec,
    drive_task,
    evaluation_tasks,
)
from wm.core import episodes
from wm.core.params import SharedParams
from wm.env import official
from wm.env.fast import environment
from wm.memory.networks import trained as memory
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.vision.models.vae import networks as vae
from wm.vision.networks import trained as vision
from wm.vision.networks.trained import Autoencoder

SHARED = SharedParams(vision="vae", scale="smoke", seed=0, precision="fp32", threads=1)


def saved_spec(directory: Path) -> AgentSpec:
    """Writes a small vision model and a small memory; their first weights are seeded."""
    torch.manual_seed(0)
    shape = vae.Config(latent_size=4, channels=4)
    model = Autoencoder(*vae.build(shape))
    vision.save(directory / "vae", "vae", model, shape.model_dump())
    memory_shape = MdnRnnConfig(hidden_size=8, mixtures=2)
    memory.save(directory / "rnn", MDNRNN(4, memory_shape), memory_shape)
    return AgentSpec(SHARED, environment.make, directory / "vae", directory / "rnn")


@pytest.fixture
def spec(tmp_path: Path) -> AgentSpec:
    return saved_spec(tmp_path)


def test_recordings_are_what_was_driven(spec: AgentSpec, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(1, parameter_count(config(), 4, 8)))
    task = RolloutTask(config(), vectors, [5, 6], 0, 30, record_to=tmp_path, first_id=7)
    outcomes = drive_task(spec.create_worker(), task)
    for id_, outcome in zip((7, 8), outcomes, strict=True):
        episode = episodes.EpisodeFile(tmp_path / episodes.file_name(id_)).read()
        assert outcome.episode is None
        assert episode.seed == outcome.seed
        assert episode.rewards.sum() == outcome.return_
        assert outcome.row(3)["return"] == outcome.return_
        assert outcome.row(3)["episode"] == 3


def test_an_evaluation_drives_each_track_once_and_records_it_by_its_place(tmp_path: Path) -> None:
    vector, tracks = np.zeros(3), [11, 12, 13, 14, 15]
    tasks = evaluation_tasks(
        config(), vector, tracks, seed=0, max_steps=9, shard_episodes=2, record_to=tmp_path
    )
    assert [task.seeds for task in tasks] == [[11, 12], [13, 14], [15]]
    assert [task.first_id for task in tasks] == [0, 2, 4]
    assert len({task.noise_seed for task in tasks}) == 3
    for task in tasks:
        assert task.vectors.shape == (1, 3)
        assert task.record_to == tmp_path
        assert (task.max_steps, task.patience, task.off_road_cost) == (9, None, 0)
    again = evaluation_tasks(config(), vector, tracks, seed=1, max_steps=9, shard_episodes=2)
    assert not {task.noise_seed for task in tasks} & {task.noise_seed for task in again}


def test_a_spec_names_the_memory_only_where_the_controller_reads_it() -> None:
    alone, both = (agent_spec(SHARED, config(inputs), official.make) for inputs in ("z", "zh"))
    assert alone.directories == [Path("models/vae")]
    assert both.directories == [Path("models/vae"), Path("models/rnn")]
    assert alone.memory is None
    assert both.make_env is official.make
