"""What the eyes' arithmetic and the renderer do to a score: the trained controller of the workspace
on the same tracks under each, and the paired differences from bf16 on official frames.

python -m bench.precision [--episodes 32] writes bench/precision.json.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from wm import artifacts, controller, seeding, weights, workers
from wm.executor import Processes
from wm.params import Run
from wm.statistics import summary

RESULTS = Path(__file__).parent / "precision.json"
SHARD = 8
ARITHMETIC: tuple[Literal["bf16", "fp32"], ...] = ("bf16", "fp32")
RENDERERS: tuple[workers.Renderer, ...] = ("official", "fast")


def main() -> None:
    parser = argparse.ArgumentParser(description="Scores by arithmetic and renderer.")
    parser.add_argument("--episodes", type=int, default=32)
    count = parser.parse_args().episodes
    assert count >= 2, "an interval takes at least two episodes"
    written = yaml.safe_load(Path("params.yaml").read_text())
    shared = Run(**{name: written[name] for name in Run.model_fields if name in written})
    sizes = (
        weights.read_config(Path("models") / shared.vision)["latent_size"],
        weights.read_config(Path("models/rnn"))["hidden_size"],
    )
    config, vector = controller.load(Path("models/controller"), *sizes)
    seeds = [seeding.integer(shared.seed, "precision", i) for i in range(count)]
    rows: list[dict[str, Any]] = []
    for renderer, arithmetic in itertools.product(RENDERERS, ARITHMETIC):
        run = shared.model_copy(update={"precision": arithmetic})
        tasks = [
            workers.Drive(config, vector[None], seeds[i : i + SHARD], i, max_steps=1000)
            for i in range(0, count, SHARD)
        ]
        with Processes(run.workers, workers.models(run, config, renderer).cockpit) as executor:
            shards = executor.map(workers.drive, tasks)
            returns = [outcome.return_ for shard in shards for outcome in shard]
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
    artifacts.write_json(RESULTS, {"vision": shared.vision, "seeds": seeds, "rows": rows})


if __name__ == "__main__":
    main()
