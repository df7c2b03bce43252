"""Drive official frames: every return, metrics/evaluate.json, the median episode."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wm.control.policy import controller
from wm.control.policy.driving import agent_spec, drive_task, evaluation_tasks
from wm.core import artifacts, episodes, params
from wm.env.exact.checked import Evaluate, maker
from wm.nn import arithmetic, compute
from wm.report.statistics import summary_of_episodes
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.entry import main
from wm.runtime.executor import create_executor
from wm.runtime.perf import measure
from wm.runtime.progress import Progress

CONTROLLER, EVALUATION = Path("models/controller"), Path("data/evaluation")


def run() -> None:
    shared, evaluate = params.load("evaluate", Evaluate)
    make_env = maker(evaluate)
    spec = agent_spec(shared, controller.read_config(CONTROLLER), make_env)
    config, vector = controller.load(CONTROLLER, *spec.sizes())
    compute.prepare(shared, threads=1)
    arithmetic.compare([*spec.directories, CONTROLLER], shared)
    key = params.key(shared, evaluate)
    with (
        Checkpoint("evaluate", key, [*spec.directories, CONTROLLER]) as checkpoint,
        measure("evaluate", checkpoint.elapsed) as meter,
    ):
        rows = (checkpoint.load() or {"rows": []})["rows"]
        tasks = evaluation_tasks(
            config, vector, evaluate.tracks, shared.seed, max_steps=evaluate.max_steps,
            shard_episodes=evaluate.shard_episodes, record_to=checkpoint.directory,
        )  # fmt: skip
        left = [task for task in tasks if task.first_id >= len(rows)]
        with (
            Progress("evaluate", evaluate.episodes, "episodes", done=len(rows)) as progress,
            create_executor(shared, spec.create_worker) as executor,
        ):
            for outcomes in executor.map(drive_task, left):
                rows += [outcome.row(len(rows) + i) for i, outcome in enumerate(outcomes)]
                checkpoint.save({"rows": rows})
                progress.advance(len(outcomes), mean=float(np.mean([r["return"] for r in rows])))
        meter.count("steps", sum(row["steps"] for row in rows))
        median = sorted(rows, key=lambda row: row["return"])[(len(rows) - 1) // 2]
        name = episodes.file_name(median["episode"])
        with artifacts.publish(EVALUATION) as directory:
            artifacts.link(checkpoint.directory / name, directory / name)
        artifacts.write_csv("plots/evaluate.csv", rows)
        artifacts.write_json("metrics/evaluate.json", summary_of_episodes(rows))


if __name__ == "__main__":
    main(run)
