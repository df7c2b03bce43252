"""Two workers against one, and sixteen times the work: not held to one core."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from bench.agent import IDLE
from bench.peers import CHANNELS
from bench.side_by_side import Contest
from wm import controller, memory, vae, weights, workers
from wm.controller import ControllerConfig
from wm.executor import Processes
from wm.mdnrnn import MDNRNN, MdnRnnConfig
from wm.params import Run

STEPS = 200
MANY, FEW = 64, 4  # episodes, and controllers


def contests(folder: Path, stack: ExitStack) -> list[Contest]:
    """`folder` takes the models and the recordings; `stack` closes the workers."""
    numbers = itertools.count()
    shape = ControllerConfig(inputs="zh", hidden_units=0, sample_z=False)
    models = fleet_models(folder)
    collectors = {n: stack.enter_context(Processes(n, workers.fast_garage)) for n in (1, 2)}
    drivers = {n: stack.enter_context(Processes(n, models.cockpit)) for n in (1, 2)}
    idle = controller.biased(IDLE, controller.parameter_count(shape, 32, 256))

    def collect(count: int, episodes: int) -> Callable[[], float]:
        def rate() -> float:
            directory = folder / f"recording{next(numbers)}"
            directory.mkdir()
            ids = np.split(np.arange(episodes), range(FEW, episodes, FEW))
            tasks = [workers.Recording(part.tolist(), 0, 0.1, STEPS, directory) for part in ids]
            start = time.perf_counter()
            frames = sum(collectors[count].map(workers.record, tasks))
            seconds = time.perf_counter() - start
            shutil.rmtree(directory)
            return frames / seconds

        return rate

    def generation(count: int, population: int) -> Callable[[], float]:
        fleet = workers.Fleet(
            drivers[count], shape, seed=0, episodes=4, shard_candidates=min(16, population // 2),
            max_steps=STEPS, patience=None,
        )  # fmt: skip
        vectors = np.tile(idle, (population, 1))

        def rate() -> float:
            start = time.perf_counter()
            fleet.fitness(next(numbers), vectors)
            return population * fleet.episodes * STEPS / (time.perf_counter() - start)

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


def fleet_models(folder: Path) -> workers.Models:
    eyes, shape = (
        vae.VaeConfig(channels=CHANNELS["laptop's"]),
        MdnRnnConfig(hidden_size=256, mixtures=5),
    )
    with vae.seeded(0):
        weights.save(folder / "vae", vae.VAE(eyes), {"kind": "vae", **eyes.model_dump()})
        memory.save(folder / "rnn", MDNRNN(eyes.latent_size, shape), shape)
    run = Run(vision="vae", scale="laptop", seed=0, precision="auto", threads=1)
    return workers.Models(run, "fast", folder / "vae", folder / "rnn")
