"""Long stages killed at random moments and run again: the bytes of a run that was never killed.

The stages are hurried ones: they save a checkpoint after every step, so that about as many kills
hit a write as hit the work. A moment is drawn uniformly over the time between a stage's start of
work and its end.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from verify import workspace
from verify.trial import Trial, runs

STAGES = ("collect", "train_vae", "train_vaegan", "train_rnn", "train_controller", "evaluate")
WAYS = ("SIGKILL", "SIGTERM", "Ctrl-C", "a worker")
WITH_WORKERS = ("collect", "train_controller", "evaluate")
"""They count what they have kept, so none of it may be done twice; what is under way in a worker is
not counted. A training counts a step before it saves it."""
SHARDS = {
    "shard_episodes: 8 ": "shard_episodes: 4 ",
    "evaluate: {episodes: 4, max_steps: 40": "evaluate: {episodes: 5, max_steps: 40",
    "shard_episodes: 4    #": "shard_episodes: 6    #",
}
"""Changes to params.yaml: several shards for each of two workers, the last one shorter."""


def rows(folder: Path, stages: Sequence[str], moments: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields a row a stage and way to die: how often it was killed while it worked, how often the
    outcome differed, what it said that it should not, and the most work that was done twice."""
    finished = workspace.copy(folder / "finished")
    for old, new in SHARDS.items():
        workspace.edit(finished, old, new)
    workspace.dvc(finished, "repro")
    for stage in stages:
        rng = random.Random(f"{seed} {stage}")
        with Trial(finished, folder / stage, stage) as trial:
            for way in WAYS if stage in WITH_WORKERS else WAYS[:-1]:
                yield {"stage": stage, "way": way, **_row(trial, way, moments, rng)}


def _row(trial: Trial, way: str, moments: int, rng: random.Random) -> dict[str, Any]:
    killed, different, tracebacks, repeated = 0, 0, 0, 0
    for _ in range(moments):
        trial.clear()
        process = trial.start()
        time.sleep(rng.uniform(0, trial.seconds))
        alive = _kill(process, way, rng)
        status = trial.end()
        if trial.is_unfinished():
            killed += alive
            trial.remove_outs()
            trial.start()
            status = trial.end()
        elif way == "SIGKILL":  # when the work was done
            status = 0
        different += status != 0 or trial.is_unfinished() or trial.digest() != trial.expected
        tracebacks += "Traceback" in trial.said()
        repeated = max(repeated, trial.counted() - trial.units)
    return {
        "moments": moments,
        "killed_at_work": killed,
        "different": different,
        "tracebacks": tracebacks,
        "units": trial.units,
        "most_units_repeated": repeated,
        "units_allowed": 0 if trial.stage in WITH_WORKERS else 1,
    }


def _kill(process: int, way: str, rng: random.Random) -> bool:
    """Kills a process; returns whether there was still one to kill."""
    if not runs(process):
        return False
    if way == "a worker":
        if not (workers := _workers(process)):
            return False
        process, number = rng.choice(workers), signal.SIGKILL
    elif way == "Ctrl-C":
        process, number = -process, signal.SIGINT  # the group
    else:
        number = getattr(signal, way)
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    return True


def _workers(parent: int) -> list[int]:
    """Returns the processes of the stage's executor."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found
