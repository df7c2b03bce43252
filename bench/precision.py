"""What the networks' arithmetic and the renderer do to a score: the trained controller of the
workspace on the same tracks under each, and the paired differences from bf16 on exact frames.

python -m bench.precision [--episodes 256] writes bench/precision.json.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench import side_by_side
from verify.workspace import commit
from wm.control.policy import controller
from wm.control.policy.driving import RolloutTask, agent_spec, drive_task
from wm.core import artifacts, params, seeding
from wm.core.shards import shards
from wm.drive.workers import MakeEnv
from wm.env.exact import environment as exact
from wm.env.fast import environment as fast
from wm.report.statistics import summary
from wm.runtime.entry import command
from wm.runtime.executor import Processes

RESULTS = Path(__file__).parent / "precision.json"
SHARD = 8
PRECISIONS: tuple[Literal["bf16", "fp32"], ...] = ("bf16", "fp32")
RENDERERS: dict[str, MakeEnv] = {"exact": exact.make, "fast": fast.make}


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores by arithmetic and renderer.")
    parser.add_argument("--episodes", type=int, default=256)
    count = parser.parse_args().episodes
    if count < 2:
        parser.error("--episodes: at least 2, for an interval")
    shared = params.load_shared()
    folder = Path("models/controller")
    sizes = agent_spec(shared, controller.read_config(folder), fast.make).sizes()
    config, vector = controller.load(folder, *sizes)
    seeds = [seeding.integer(shared.seed, "precision", "track", i) for i in range(count)]
    rows: list[dict[str, Any]] = []
    for renderer, arithmetic in itertools.product(RENDERERS, PRECISIONS):
        changed = shared.model_copy(update={"precision": arithmetic})
        tasks = [
            RolloutTask(config, vector[None], part, noise_seed=i * SHARD, max_steps=1000)
            for i, part in enumerate(shards(seeds, SHARD))
        ]
        spec = agent_spec(changed, config, RENDERERS[renderer])
        with Processes(changed.workers, spec.create_worker) as executor:
            outcomes = executor.map(drive_task, tasks)
            returns = [outcome.return_ for shard in outcomes for outcome in shard]
        first = rows[0]["returns"] if rows else returns
        difference = np.subtract(returns, first)
        row: dict[str, Any] = {"renderer": renderer, "precision": arithmetic}
        row |= summary(np.array(returns))
        row["difference"] = summary(difference) if rows else None
        rows.append(row | {"returns": returns})
        change = row["difference"] or dict.fromkeys(("mean", "ci95_low", "ci95_high"), 0.0)
        print(
            f"{renderer:<10}{arithmetic:<6}{row['mean']:>8.1f} +- {row['std']:<6.1f}"
            f"{change['mean']:>+8.1f} ({change['ci95_low']:+.1f} to {change['ci95_high']:+.1f})",
            flush=True,
        )
    made = {"machine": side_by_side.machine(), "commit": commit(RESULTS)}
    artifacts.write_json(RESULTS, made | {"vision": shared.vision, "seeds": seeds, "rows": rows})


if __name__ == "__main__":
    command(main)
