"""Two workers against one, and sixteen times the work: not held to one core."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from bench.peers import CHANNELS, IDLE
from bench.shared import on_the_processor
from bench.side_by_side import Contest
from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import AgentSpec
from wm.control.training.fitness import ReturnFitness
from wm.control.training.simulator import Simulator
from wm.drive.workers import WorkerEnvs
from wm.env.fast import environment
from wm.exploration.recording import RecordingTask, record
from wm.memory.networks import trained as memory
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.nn.compute import seeded
from wm.runtime.executor import Processes
from wm.vision.models.vae.networks import Config, build
from wm.vision.networks import trained as vision
from wm.vision.networks.trained import Autoencoder

STEPS = 200
MANY, FEW = 64, 4  # episodes, and controllers


def contests(folder: Path, stack: ExitStack) -> list[Contest]:
    """Returns the contests; `folder` takes the models and the recordings, `stack` closes the
    workers."""
    numbers = itertools.count()
    shape = ControllerConfig(inputs="zh", hidden_units=0, sample_z=False)
    spec = untrained_agent(folder)
    create_envs = partial(WorkerEnvs, environment.make)
    collectors = {n: stack.enter_context(Processes(n, create_envs)) for n in (1, 2)}
    drivers = {n: stack.enter_context(Processes(n, spec.create_worker)) for n in (1, 2)}
    idle = controller.biased(IDLE, controller.parameter_count(shape, 32, 256))

    def collect(count: int, episodes: int) -> Callable[[], float]:
        def rate() -> float:
            directory = folder / f"recording{next(numbers)}"
            directory.mkdir()
            ids = np.split(np.arange(episodes), range(FEW, episodes, FEW))
            tasks = [RecordingTask(part.tolist(), 0, 0.1, STEPS, directory) for part in ids]
            start = time.perf_counter()
            frames = sum(collectors[count].map(record, tasks))
            seconds = time.perf_counter() - start
            shutil.rmtree(directory)
            return frames / seconds

        return rate

    def generation(count: int, population: int) -> Callable[[], float]:
        fitness = ReturnFitness(
            drivers[count], Simulator(spec, shape, STEPS, None, 0.0), seed=0,
            shard_episodes=4 * min(16, population // 2),
        )  # fmt: skip
        vectors = np.tile(idle, (population, 1))

        def rate() -> float:
            start = time.perf_counter()
            fitness.training(vectors, next(numbers), episodes=4)
            return population * 4 * STEPS / (time.perf_counter() - start)

        return rate

    return [
        Contest(
            f"collecting {MANY} episodes of {STEPS} steps",
            "frames/s",
            {"two workers": collect(2, MANY), "one worker": collect(1, MANY)},
        ),
        Contest(
            "collecting on one worker",
            "frames/s",
            {f"{MANY} episodes": collect(1, MANY), f"{FEW} episodes": collect(1, FEW)},
        ),
        Contest(
            f"a generation of {MANY} controllers on 4 tracks",
            "steps/s",
            {"two workers": generation(2, MANY), "one worker": generation(1, MANY)},
        ),
        Contest(
            "a generation on one worker",
            "steps/s",
            {f"{MANY} controllers": generation(1, MANY), f"{FEW} controllers": generation(1, FEW)},
        ),
    ]


def untrained_agent(folder: Path) -> AgentSpec:
    """Returns an agent of the laptop scale's networks, untrained, which it writes into `folder`."""
    config = Config(channels=CHANNELS["laptop's"])
    shape = MdnRnnConfig(hidden_size=256, mixtures=5)
    with seeded(0):
        vision.save(folder / "vae", "vae", Autoencoder(*build(config)), config.model_dump())
        memory.save(folder / "rnn", MDNRNN(config.latent_size, shape), shape)
    shared = on_the_processor()
    return AgentSpec(shared, environment.make, folder / "vae", folder / "rnn")
