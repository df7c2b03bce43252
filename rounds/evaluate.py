"""Drive official tracks with the best of the last round: metrics/rounds/evaluate.json."""

from __future__ import annotations

from pydantic import Field

from rounds import agents, settings
from rounds.folders import of_command_line
from wm.control.policy import controller
from wm.control.policy.driving import RolloutTask
from wm.core import artifacts, params, seeding
from wm.core.car_racing import MAX_EPISODE_STEPS
from wm.core.shards import shards
from wm.env.exact import checked
from wm.nn import arithmetic, compute
from wm.report.statistics import summary_of_episodes
from wm.runtime.entry import main


class Evaluate(checked.RendererParams):
    """The parameters of evaluate."""

    episodes: int = Field(ge=2)
    """Episodes to drive, each on a track of its own."""
    max_steps: int = Field(ge=1, le=MAX_EPISODE_STEPS)
    """The number of steps after which an episode is truncated."""
    shard_episodes: int = Field(ge=1)
    """Episodes that a worker drives in lockstep; part of the result's last bits."""


def run() -> None:
    agent = of_command_line().agent
    shared, evaluate = params.load_shared(), settings.load("evaluate", Evaluate)
    spec = agents.agent_spec(shared, agent / "memory", checked.maker(evaluate))
    config, vector = controller.load(agent / "controller", *spec.sizes())
    compute.prepare(shared, threads=1)
    arithmetic.compare([*spec.directories, agent / "controller"], shared)
    tasks = [
        RolloutTask(
            config, vector[None], [seeding.evaluation_seed(i) for i in shard], 0,
            evaluate.max_steps,
        )
        for shard in shards(range(evaluate.episodes), evaluate.shard_episodes)
    ]  # fmt: skip
    rows = agents.drive(spec, tasks, "evaluate")
    artifacts.write_csv("plots/rounds/evaluate.csv", rows)
    artifacts.write_json("metrics/rounds/evaluate.json", summary_of_episodes(rows))


if __name__ == "__main__":
    main(run)
