"""Drive official tracks with the best of the last round: metrics/rounds/evaluate.json."""

from __future__ import annotations

from rounds import agents, settings
from rounds.folders import of_command_line
from wm.control.policy import controller
from wm.control.policy.driving import evaluation_tasks
from wm.core import artifacts, params
from wm.env.exact.checked import Evaluate, maker
from wm.nn import arithmetic, compute
from wm.report.statistics import summary_of_episodes
from wm.runtime.entry import main
from wm.runtime.executor import create_executor


def run() -> None:
    best = of_command_line().controller
    shared, evaluate = params.load_shared(), settings.load("evaluate", Evaluate)
    spec = agents.spec_of(shared, maker(evaluate))
    config, vector = controller.load(best, *spec.sizes())
    compute.prepare(shared, threads=1)
    arithmetic.compare([*spec.directories, best], shared)
    tasks = evaluation_tasks(
        config, vector, evaluate.tracks, shared.seed, max_steps=evaluate.max_steps,
        shard_episodes=evaluate.shard_episodes,
    )  # fmt: skip
    with create_executor(shared, spec.create_worker) as executor:
        rows = agents.drive(executor, tasks, "evaluate")
    artifacts.write_csv("plots/rounds/evaluate.csv", rows)
    artifacts.write_json("metrics/rounds/evaluate.json", summary_of_episodes(rows))


if __name__ == "__main__":
    main(run)
