"""The fitness of controllers: the same from one worker and from two, and on which tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.control.test_controller import config
from tests.control.test_driving import saved_spec
from wm.control.policy.controller import parameter_count
from wm.control.policy.driving import AgentSpec, RolloutTask, drive_task
from wm.control.training.fitness import ReturnFitness
from wm.control.training.simulator import Simulator
from wm.core import seeding
from wm.runtime.executor import Processes


@pytest.fixture
def spec(tmp_path: Path) -> AgentSpec:
    return saved_spec(tmp_path)


def simulator(spec: AgentSpec, off_road_cost: float = 0.0) -> Simulator:
    return Simulator(spec, config(), 60, patience=None, off_road_cost=off_road_cost)


def test_fitness_does_not_depend_on_the_workers(spec: AgentSpec) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, parameter_count(config(), 4, 8)))
    results, validations, states = [], [], []
    for count in (1, 2):
        with Processes(count, spec.create_worker) as executor:
            fitness = ReturnFitness(executor, simulator(spec), seed=0, shard_episodes=4)
            results.append([fitness.training(vectors, number, 2).fitness for number in (0, 1)])
            validations.append(fitness.validation(vectors[0], 5))
            states.append(fitness.memory_states(vectors[0], 3))
    assert np.array_equal(results[0], results[1])
    assert validations[0] == validations[1]
    assert states[0].shape == (3 * 60, 8)
    assert np.array_equal(states[0], states[1])
    # two in lockstep begin at zeros, and go on to states that nobody else has
    assert (states[0][:2] == 0).all()
    assert np.unique(states[0][2:], axis=0).shape == states[0][2:].shape
    assert (results[0][0] != results[0][1]).any()  # other tracks
    seeds = [seeding.integer(0, "train_controller", "track", 0, i) for i in range(2)]
    worker = spec.create_worker()
    for vector, value in zip(vectors, results[0][0], strict=True):
        alone = drive_task(worker, RolloutTask(config(), vector[None], seeds, 0, 60))
        # a batch of another size may differ in its last bits
        assert value == pytest.approx(np.mean([outcome.return_ for outcome in alone]), abs=1)
    assert np.ptp(results[0][0]) > 1


def test_validation_is_always_on_the_same_tracks_and_never_on_fitness_ones(spec: AgentSpec) -> None:
    seen: list[tuple[int, int]] = []

    class Recorder:
        def map(self, function: object, tasks: list[RolloutTask]) -> list[list[float]]:
            seen.extend((i, seed) for i, task in enumerate(tasks) for seed in task.seeds)
            return [[float(seed) for seed in task.seeds] for task in tasks]

    fitness = ReturnFitness(Recorder(), simulator(spec), seed=0, shard_episodes=4)  # type: ignore[arg-type]
    vector = np.zeros((1, 2))
    first, second = fitness.validation(vector[0], 10), fitness.validation(vector[0], 10)
    assert first == second
    assert seen[:10] == seen[10:]
    assert [task for task, _ in seen[:10]] == [0] * 4 + [1] * 4 + [2] * 2
    validation = {seed for _, seed in seen}
    assert len(validation) == 10
    seen.clear()
    for number in range(5):
        fitness.training(vector, number, 3)
    assert len({seed for _, seed in seen}) == 15
    assert validation.isdisjoint(seed for _, seed in seen)


def test_wheels_off_the_road_cost_in_training_and_not_in_validation(spec: AgentSpec) -> None:
    fast = np.zeros(parameter_count(config(), 4, 8))
    fast[-3:] = 1.0, 2.0, -2.0  # a circle to the right, on full gas: off the road at once
    returns = {}
    for cost in (0.0, 0.5):
        with Processes(1, spec.create_worker) as executor:
            fitness = ReturnFitness(executor, simulator(spec, cost), seed=0, shard_episodes=4)
            returns[cost] = fitness.training(fast[None], 0, 2).fitness, fitness.validation(fast, 2)
    assert returns[0.5][0] < returns[0.0][0] - 10
    assert returns[0.5][1] == returns[0.0][1]


def test_repeated_tracks_are_driven_beside_new_ones(spec: AgentSpec) -> None:
    sizes = []

    class Recorder:
        def map(self, function: object, tasks: list[RolloutTask]) -> list[list[float]]:
            sizes.append([len(task.vectors) for task in tasks])
            return [[float(seed) for _ in task.vectors for seed in task.seeds] for task in tasks]

    fitness = ReturnFitness(Recorder(), simulator(spec), seed=0, shard_episodes=8)  # type: ignore[arg-type]
    new = fitness.training(np.zeros((5, 2)), 3, 4).seeds
    drives = fitness.training(np.zeros((5, 2)), 3, 4, repeated=[11, 12])
    assert drives.seeds == [*new[:2], 11, 12]
    assert drives.returns == [[float(seed) for seed in drives.seeds]] * 5
    # whole candidates, as many as fit into a task
    assert sizes == [[2, 2, 1]] * 2
    # one that does not fit drives alone
    fitness.training(np.zeros((2, 2)), 0, 9)
    assert sizes[-1] == [1, 1]
