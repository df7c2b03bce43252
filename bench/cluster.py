"""What a Dask cluster costs and brings: python -m bench.cluster writes bench/cluster.json.

Workers on this machine, so speed-up ends at its cores; nothing else should run beside it.
`bench.at_scale` goes on from these figures to more of them.
"""

from __future__ import annotations

import pickle
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cma
import numpy as np
import psutil
from distributed import LocalCluster
from threadpoolctl import threadpool_limits

import stages  # noqa: F401  fixes the kernels in the environment, which workers have to share
from bench import side_by_side
from bench.peers import IDLE
from bench.scaling import STEPS, untrained_agent
from bench.side_by_side import Contest
from verify.workspace import commit
from wm.control.policy import controller
from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import AgentSpec
from wm.control.training.fitness import ReturnFitness
from wm.control.training.simulator import Simulator
from wm.core import artifacts
from wm.runtime.cluster import Cluster
from wm.runtime.entry import command
from wm.runtime.executor import Processes

RESULTS = Path(__file__).parent / "cluster.json"
REPEATS = 3
NO_OPS = 1000
POPULATION, EPISODES, SHARD = 64, 4, 16
SHARDS = (1, 4, 16, 64)
SHAPE = ControllerConfig(inputs="zh", hidden_units=0, sample_z=False)


def nothing() -> None:
    return None


def no_op(context: None, item: int) -> int:
    return item


def main() -> None:
    content: dict[str, Any] = {
        "machine": side_by_side.machine(), "commit": commit(RESULTS), "rows": []
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        spec = untrained_agent(Path(folder))
        clusters = {n: stack.enter_context(_cluster(n)) for n in (1, 2)}
        idle = controller.biased(IDLE, controller.parameter_count(SHAPE, 32, 256))
        numbers = iter(range(10**6))

        def generation(executor: Any, shard: int, population: int) -> Callable[[], float]:
            world = Simulator(spec, SHAPE, STEPS, None, 0.0)
            fitness = ReturnFitness(executor, world, 0, EPISODES * shard)

            def rate() -> float:
                start = time.perf_counter()
                vectors = np.tile(idle, (population, 1))
                fitness.training(vectors, next(numbers), EPISODES)
                return population * EPISODES * STEPS / (time.perf_counter() - start)

            return rate

        on = {
            n: stack.enter_context(Cluster(clusters[n], spec.create_worker, "fp32")) for n in (1, 2)
        }
        here = {n: stack.enter_context(Processes(n, spec.create_worker)) for n in (1, 2)}
        for contest in (
            Contest(
                f"a generation of {POPULATION} controllers on {EPISODES} tracks",
                "steps/s",
                {
                    f"{where}, {n}": generation(executors[n], SHARD, POPULATION)
                    for where, executors in (("Dask workers", on), ("processes", here))
                    for n in (2, 1)
                },
            ),
            Contest(
                "one process, episodes in a lockstep",
                "steps/s",
                {str(EPISODES * n): generation(here[1], n, n) for n in SHARDS},
            ),
        ):
            records = [row.record() for row in side_by_side.run(contest, REPEATS)]
            content["rows"] += records
            print(side_by_side.table(records), flush=True)
        content["bytes_a_generation"] = _bytes(generation(on[2], SHARD, POPULATION), spec, idle)
        with Cluster(clusters[2], nothing, "fp32") as empty, Processes(2, nothing) as local:
            content["milliseconds_a_task"] = {
                "Dask workers, 2": _milliseconds(empty),
                "processes, 2": _milliseconds(local),
            }
    content["cma_seconds"] = {str(n): _cma_seconds(n, len(idle)) for n in (64, 1024)}
    print({key: value for key, value in content.items() if key not in ("rows", "machine")})
    artifacts.write_json(RESULTS, content)


@contextmanager
def _cluster(workers: int) -> Iterator[str]:
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def _bytes(generation: Callable[[], float], spec: AgentSpec, idle: np.ndarray) -> Any:
    """Returns the bytes that cross the loopback device in a generation (both ways between client,
    scheduler and workers, heartbeats included), and those of the candidates and the models."""
    before = psutil.net_io_counters(pernic=True)["lo"].bytes_sent
    generation()
    return {
        "sent": psutil.net_io_counters(pernic=True)["lo"].bytes_sent - before,
        "tasks": POPULATION // SHARD,
        "candidates": len(pickle.dumps(np.tile(idle, (POPULATION, 1)))),
        "models": sum(
            path.stat().st_size for folder in spec.directories for path in folder.iterdir()
        ),
    }


def _milliseconds(executor: Any) -> float:
    list(executor.map(no_op, range(NO_OPS)))
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        list(executor.map(no_op, range(NO_OPS)))
        times.append((time.perf_counter() - start) / NO_OPS * 1000)
    return round(statistics.median(times), 3)


def _cma_seconds(population: int, parameters: int) -> float:
    """Returns the seconds of asking and telling a generation."""
    options = {"popsize": population, "seed": 1, "verbose": -9}
    with threadpool_limits(limits=1):
        strategy = cma.CMAEvolutionStrategy(np.zeros(parameters), 0.1, options)
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            solutions = strategy.ask()
            strategy.tell(solutions, [float(np.square(x).sum()) for x in solutions])
            times.append(time.perf_counter() - start)
    return round(statistics.median(times), 3)


if __name__ == "__main__":
    command(main)
