"""Drive the official environment: metrics/evaluate.json, every return, a film beside a dream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from wm import artifacts, compute, controller, dream, episodes, figures, memory, params, seeding
from wm import vision as eyes
from wm.executor import hire
from wm.perf import measure
from wm.progress import Progress
from wm.scratch import Checkpoint
from wm.stage import main
from wm.statistics import summary
from wm.workers import Drive, drive, models

CONTROLLER, MEMORY = Path("models/controller"), Path("models/rnn")


class Evaluate(params.Params):
    episodes: int = Field(ge=2)
    max_steps: int = Field(ge=1, le=1000)
    shard_episodes: int = Field(ge=1)
    """Episodes that a worker drives in lockstep; part of the result's last bits."""
    temperature: float = Field(ge=0.01)
    """Of the film's dream; 1 is the memory's own."""


def run() -> None:
    shared, evaluate = params.load("evaluate", Evaluate)
    seen = Path("models") / shared.vision
    device = compute.prepare(shared, threads=1)
    vision = eyes.load(seen, device)
    remembered = memory.load(MEMORY, vision.latent_size, device.device)
    config, vector = controller.load(CONTROLLER, vision.latent_size, remembered.hidden_size)
    key = shared.model_dump(include={"seed"}) | device.names() | evaluate.model_dump()
    size = evaluate.shard_episodes
    shards = [range(evaluate.episodes)[i : i + size] for i in range(0, evaluate.episodes, size)]
    with (
        Checkpoint("evaluate", key, [seen, MEMORY, CONTROLLER]) as checkpoint,
        measure("evaluate", checkpoint) as meter,
    ):
        rows = (checkpoint.load() or {"rows": []})["rows"]
        tasks = [
            Drive(
                config, vector[None], [seeding.evaluation_seed(i) for i in shard],
                seeding.integer(shared.seed, "evaluate noise", number), evaluate.max_steps,
                record_to=checkpoint.directory, first_id=shard[0],
            )
            for number, shard in enumerate(shards)
        ][len(rows) // size :]  # fmt: skip
        with (
            Progress("evaluate", evaluate.episodes, "episodes", done=len(rows)) as progress,
            hire(shared, models(shared, config, "official").cockpit) as workers,
        ):
            for outcomes in workers.map(drive, tasks):
                rows += [outcome.row(len(rows) + i) for i, outcome in enumerate(outcomes)]
                checkpoint.save({"rows": rows})
                progress.advance(len(outcomes), mean=float(np.mean([r["return"] for r in rows])))
        meter.count("steps", sum(row["steps"] for row in rows))
        median = sorted(rows, key=lambda row: row["return"])[(len(rows) - 1) // 2]["episode"]
        path = checkpoint.directory / episodes.file_name(median)
        film = episodes.EpisodeFile(path, f"run evaluate again without {path.parent}").read()
        real, dreamed = dream.beside(film, vision, remembered, config, vector, evaluate.temperature)
        figures.video("videos/evaluate.mp4", real, dreamed)
        figures.gif("plots/evaluate.gif", real, dreamed)
        artifacts.write_csv("plots/evaluate.csv", rows)
        laps = {"laps_finished": sum(row["lap_finished"] for row in rows), "episodes": len(rows)}
        returns = np.array([row["return"] for row in rows])
        artifacts.write_json("metrics/evaluate.json", summary(returns) | laps)


if __name__ == "__main__":
    main(run)
