"""What the executor's worker processes do: drive shards of episodes, in lockstep.

A task is a small picklable description; the environments (and the networks) stay in the worker.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch

from wm import car_racing, episodes, exploration, memory, seeding, vision
from wm.agent import Agent
from wm.compute import prepare
from wm.controller import ControllerConfig
from wm.executor import Executor
from wm.mdnrnn import MDNRNN
from wm.params import Run
from wm.rollout import Env, Outcome, rollout

Renderer = Literal["fast", "official"]


class Garage:
    """A worker's environments of one renderer, made when they are first needed."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer: Renderer = renderer
        self._envs: list[Env] = []

    def envs(self, count: int) -> list[Env]:
        """`count` environments; the same ones every time."""
        while len(self._envs) < count:
            self._envs.append(car_racing.make(self._renderer))
        return self._envs[:count]


@dataclass(frozen=True)
class Recording:
    """Episodes of exploration to be recorded into `directory`, each as `ids` names it."""

    ids: list[int]
    seed: int
    random_share: float
    max_steps: int
    directory: Path


def record(garage: Garage, task: Recording) -> int:
    """Drives and writes the task's episodes; returns the number of frames.

    Track, policy and actions of an episode come from (seed, id) alone.
    """
    streams = [seeding.generator(task.seed, "collect", id_) for id_ in task.ids]
    policy = exploration.Exploration(
        [exploration.driver(stream, task.random_share) for stream in streams]
    )
    outcomes = rollout(
        garage.envs(len(task.ids)),
        [seeding.integer(task.seed, "collect track", id_) for id_ in task.ids],
        policy,
        max_steps=task.max_steps,
        telemetry=car_racing.telemetry,
    )
    _save(task.directory, task.ids, outcomes)
    return sum(outcome.steps + 1 for outcome in outcomes)


fast_garage = functools.partial(Garage, "fast")


def _save(directory: Path, ids: Sequence[int], outcomes: Sequence[Outcome]) -> None:
    for id_, outcome in zip(ids, outcomes, strict=True):
        assert outcome.episode is not None
        path = directory / episodes.file_name(id_)
        episodes.save(path, replace(outcome.episode, id=id_))


@dataclass(frozen=True)
class Models:
    """Where a worker finds what its agents are made of."""

    run: Run
    renderer: Renderer
    vision: Path
    memory: Path | None
    """None where no controller looks at h."""

    @property
    def directories(self) -> list[Path]:
        """What results depend on."""
        return [self.vision] if self.memory is None else [self.vision, self.memory]

    def cockpit(self) -> Cockpit:
        """Builds a worker's context."""
        return Cockpit(self)


class Cockpit:
    """A worker's environments and networks, on one thread."""

    def __init__(self, models: Models) -> None:
        compute = prepare(models.run, threads=1)
        self.garage = Garage(models.renderer)
        self.vision = vision.load(models.vision, compute)
        self.memory: MDNRNN | None = None
        if models.memory is not None:
            self.memory = memory.load(models.memory, self.vision.latent_size, compute.device)


@dataclass(frozen=True)
class Drive:
    """Every controller of `vectors`, float (C, P), on every track of `seeds`, in one lockstep."""

    config: ControllerConfig
    vectors: np.ndarray
    seeds: list[int]
    noise_seed: int
    max_steps: int
    patience: int | None = None
    record_to: Path | None = None
    """A folder for the recordings, named from `first_id` on; None records nothing."""
    first_id: int = 0


def drive(cockpit: Cockpit, task: Drive) -> list[Outcome]:
    """The outcomes of the C x len(seeds) episodes, those of a controller together."""
    candidates = np.repeat(np.arange(len(task.vectors)), len(task.seeds))
    agent = Agent(
        cockpit.vision,
        cockpit.memory,
        task.config,
        task.vectors,
        candidates,
        torch.Generator().manual_seed(task.noise_seed),
    )
    outcomes = rollout(
        cockpit.garage.envs(len(candidates)),
        task.seeds * len(task.vectors),
        agent,
        max_steps=task.max_steps,
        patience=task.patience,
        telemetry=car_racing.telemetry if task.record_to else None,
    )
    if task.record_to is None:
        return outcomes
    _save(task.record_to, range(task.first_id, task.first_id + len(outcomes)), outcomes)
    return [replace(outcome, episode=None) for outcome in outcomes]


def models(run: Run, config: ControllerConfig, renderer: Renderer) -> Models:
    """The pipeline's own: the vision that `run` names, and the memory if C looks at h."""
    needed = Path("models/rnn") if config.inputs == "zh" else None
    return Models(run, renderer, Path("models") / run.vision, needed)


@dataclass(frozen=True)
class Fleet:
    """Controllers driven by the executor's workers, for evolution to select from."""

    executor: Executor[Cockpit]
    config: ControllerConfig
    seed: int
    """Of the tracks, and of the latents' noise where the controller acts on samples."""
    episodes: int
    """A controller's in `fitness`."""
    shard_candidates: int
    """Controllers of a task in `fitness`, tracks of one in `validation`."""
    max_steps: int
    patience: int | None

    def fitness(self, generation: int, vectors: np.ndarray) -> np.ndarray:
        """The mean return (P,) of each of `vectors` (P, D), on tracks that they share and no
        other generation has."""
        seeds = [seeding.integer(self.seed, "train", generation, i) for i in range(self.episodes)]
        parts = _parts(vectors, self.shard_candidates)
        noise_seed = seeding.integer(self.seed, "train noise", generation)
        returns = self._returns([(part, seeds) for part in parts], noise_seed)
        return returns.reshape(len(vectors), len(seeds)).mean(axis=1)

    def validation(self, vector: np.ndarray, tracks: int) -> float:
        """The mean return of `vector` (D,) on `tracks` tracks, always the same."""
        seeds = [seeding.integer(self.seed, "validate", i) for i in range(tracks)]
        parts = _parts(seeds, self.shard_candidates)
        noise_seed = seeding.integer(self.seed, "validate noise")
        return float(self._returns([(vector[None], part) for part in parts], noise_seed).mean())

    def _returns(self, parts: list[tuple[np.ndarray, list[int]]], noise_seed: int) -> np.ndarray:
        tasks = [
            Drive(self.config, vectors, seeds, noise_seed + i, self.max_steps, self.patience)
            for i, (vectors, seeds) in enumerate(parts)
        ]
        outcomes = [outcome for shard in self.executor.map(drive, tasks) for outcome in shard]
        return np.array([outcome.return_ for outcome in outcomes])


S = TypeVar("S", np.ndarray, list[int])


def _parts(whole: S, size: int) -> list[S]:
    return [whole[start : start + size] for start in range(0, len(whole), size)]
