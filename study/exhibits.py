"""What the report shows and only the models can make: results/exhibits.safetensors and .json.

Both vision models of one training seed look at the same held-out frames; what is picked is picked
by rule. The drives repeat shards of the official evaluation with the car's place recorded, and
their returns must come out as they were recorded then, to the last bit.

exhibits.json names the seed, the cells, their outputs' hashes and the digest of the other file's
arrays, and says of what each of them is:

frames, reconstruction_<variant>   uint8 (5, 64, 64, 3): the frames at `ranks` (percent) of the
                                   squared error, averaged over both models; `mse` of each
traversal_<variant>                uint8 (6, 7, 64, 64, 3): the median frame, and in each of the six
                                   dimensions with the most KL the values `traversal_values`,
                                   standard deviations of the held-out latents from their mean
dream_real, dream_<variant>        uint8 (4, 64, 64, 3): frames, and the memory's prediction of them
                                   after `dream_steps` steps along the real actions
path_<i>, track_<i>                drive i of `drives`: float32 (T + 1, 3), place and offset from
                                   the centre line, and the line, (n, 2); in units
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dvc.api import DVCFileSystem

from stages.encode import Encode
from study import experiments, runs
from study.grid import VAE, VAEGAN, Cell
from study.runs import EXHIBITS, RunRecord
from wm.control.policy import controller
from wm.control.policy.agent import Agent
from wm.control.policy.controller import ControllerConfig
from wm.control.policy.driving import evaluation_tasks
from wm.core import artifacts, episodes, params
from wm.core.car_racing import TELEMETRY
from wm.core.errors import UserError
from wm.core.frames import mse_of_each
from wm.core.params import SharedParams
from wm.drive.rollout import Env, rollout
from wm.drive.telemetry import telemetry
from wm.env import official
from wm.env.exact.checked import Evaluate
from wm.memory import latents
from wm.memory.networks import trained as memory
from wm.memory.networks.mdnrnn import MDNRNN
from wm.nn import compute
from wm.nn.posterior import kl_divergence
from wm.report.memory import open_loop
from wm.report.memory_metrics import HORIZONS
from wm.vision.metrics.held_out import HeldOutFrames
from wm.vision.networks import trained as vision
from wm.vision.networks.trained import Vision

RANKS = (0, 25, 50, 75, 100)
"""Ranks of the frames that are shown, in percent."""
DIMENSIONS = 6
"""Latent dimensions that are traversed."""
VALUES = (-3, -2, -1, 0, 1, 2, 3)
"""Values of a traversed dimension, in standard deviations from its mean."""
DRIVES = {"worst": 0.0, "median": 0.5}
"""Episodes that are driven again, by their place in the order of returns."""


@dataclass(frozen=True)
class TrainedRun:
    """A finished run's models, and what its params.yaml says."""

    record: RunRecord
    """What is kept of the run."""
    folder: Path
    """The folder with its params.yaml, data and models."""
    shared: SharedParams
    """The shared parameters in its params.yaml."""
    vision: Vision
    """Its vision model."""
    memory: MDNRNN
    """Its memory."""
    config: ControllerConfig
    """What its controller sees."""
    vector: np.ndarray
    """Its controller, float (P,)."""


def write(seed: int) -> None:
    """Writes both files from the experiments vae-<seed> and vaegan-<seed>.

    Raises UserError unless both have finished here (their models are in DVC's cache, not in git).
    """
    arrays: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        trained = {
            variant.name: _fetch(Cell(variant, seed), Path(folder) / variant.name)
            for variant in (VAE, VAEGAN)
        }
        facts: dict[str, Any] = {
            "seed": seed,
            "cells": [run.record.cell for run in trained.values()],
            "hashes": {run.record.cell: run.record.hashes for run in trained.values()},
            "ranks": RANKS,
            "mse": {},
            "traversal": {},
            "traversal_values": VALUES,
            "dream_steps": [],
            "drives": [],
        }
        _reconstruct_and_traverse(trained, arrays, facts)
        for name, run in trained.items():
            facts["dream_steps"] = _dream(name, run, arrays)
            for rank, place in DRIVES.items():
                facts["drives"].append(_drive(run, rank, place, len(facts["drives"]), arrays))
    facts["tensors"] = artifacts.digest(arrays)
    artifacts.save_tensors(EXHIBITS.with_suffix(".safetensors"), arrays)
    artifacts.write_json(EXHIBITS.with_suffix(".json"), facts)


def _fetch(cell: Cell, folder: Path) -> TrainedRun:
    record = runs.load(cell)
    if record is None or record.error is not None:
        raise UserError(f"{cell.name}: has no result yet; run `make study`")
    revision = next((r for r in experiments.revisions(cell.name) if _made(r, record)), None)
    if revision is None:
        own = cell.own_changes(record.scale)
        settings = "".join(f" -S {change}" for change in record.changes if change not in own)
        raise UserError(f"{cell.name}: its experiment is not in this repository; `dvc exp pull "
                        f"<remote> {cell.name}`, or delete {record.directory} and run "
                        f"`python -m study run --only {cell.name}{settings}`")  # fmt: skip
    files = DVCFileSystem(rev=revision)
    folder.mkdir()
    for path in ("params.yaml", "data/episodes", "data/latents", "models"):
        try:
            files.get(path, str(folder / path), recursive=True)
        except experiments.NOT_IN_CACHE:
            raise UserError(f"{cell.name}: {path} is not in DVC's cache; run `dvc exp pull "
                            f"<remote> {cell.name}`") from None  # fmt: skip
    shared = params.load_shared(folder / "params.yaml")
    prepared = compute.prepare(shared, threads=1)
    encoder = vision.load(folder / "models" / shared.vision, prepared)
    model = memory.load(folder / "models/rnn", encoder.latent_size, prepared.device)
    config, vector = controller.load(
        folder / "models/controller", encoder.latent_size, model.hidden_size
    )
    return TrainedRun(record, folder, shared, encoder, model, config, vector)


def _made(revision: str, record: RunRecord) -> bool:
    """Returns whether an experiment is the one that a run was kept from."""
    found = [out for outs in experiments.output_hashes(revision).values() for out in outs.items()]
    return {*record.hashes.items()} <= {*found}


def _reconstruct_and_traverse(
    trained: dict[str, TrainedRun], arrays: dict[str, np.ndarray], facts: dict[str, Any]
) -> None:
    """Adds reconstructions and traversals: both models' of the same frames."""
    first = next(iter(trained.values()))
    _, encode = params.load("encode", Encode, first.folder / "params.yaml")
    held_out = HeldOutFrames(first.folder / "data/episodes", encode.held_out_frames)
    decoded = {name: held_out.reconstruct(run.vision)[0] for name, run in trained.items()}
    errors = {name: mse_of_each(held_out.frames, frames) for name, frames in decoded.items()}
    order = np.argsort(sum(errors.values()), kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, len(RANKS)).round().astype(int)]
    arrays["frames"] = held_out.frames[chosen]
    for name, run in trained.items():
        arrays[f"reconstruction_{name}"] = decoded[name][chosen]
        facts["mse"][name] = errors[name][chosen].tolist()
        arrays[f"traversal_{name}"], facts["traversal"][name] = _traversal(
            run.vision, held_out.frames, int(chosen[len(chosen) // 2])
        )


def _traversal(model: Vision, frames: np.ndarray, frame: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Returns frame number `frame` of `frames`, uint8 (N, 64, 64, 3), decoded along its latent
    dimensions, uint8 (DIMENSIONS, len(VALUES), 64, 64, 3), and which ones these are."""
    mu, logvar = model.encode(frames)
    kl = kl_divergence(mu, logvar).mean(dim=0)
    dimensions = torch.argsort(kl, descending=True, stable=True)[:DIMENSIONS]
    mean, std = mu.mean(dim=0), mu.std(dim=0)
    rows = []
    for dimension in dimensions.tolist():
        z = mu[frame].repeat(len(VALUES), 1)
        z[:, dimension] = mean[dimension] + std[dimension] * torch.tensor(VALUES).to(z)
        rows.append(model.decode(z))
    kept = {"dimensions": dimensions.tolist(), "kl": kl[dimensions].tolist()}
    return np.stack(rows), kept


def _dream(name: str, run: TrainedRun, arrays: dict[str, np.ndarray]) -> list[int]:
    """Adds the first dream of measure_rnn, with the same true frames for either model; returns
    after how many steps its frames are."""
    data = run.folder / "data"
    latents_folder = data / "latents"
    held_out = episodes.split(episodes.ids_in(latents_folder), latents_folder)[1]
    files = [episodes.EpisodeFile(data / "episodes" / episodes.file_name(id_)) for id_ in held_out]
    encoded = [latents.read(latents_folder, id_) for id_ in held_out]
    _, real, dreamed = open_loop(run.memory, run.vision, files, encoded)
    steps = np.array([horizon for horizon in HORIZONS if horizon <= len(dreamed)])
    arrays["dream_real"], arrays[f"dream_{name}"] = real[steps], dreamed[steps - 1]
    return steps.tolist()


def _drive(
    run: TrainedRun, rank: str, place: float, number: int, arrays: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Drives the shard of an evaluated episode again and records where the car was."""
    _, evaluate = params.load("evaluate", Evaluate, run.folder / "params.yaml")
    recorded = run.record.curve("evaluate")  # a row an episode, in order
    ordered = recorded.sort_values("return", kind="stable")["episode"]
    episode = int(ordered.iloc[round(place * (len(ordered) - 1))])
    shard, size = episode // evaluate.shard_episodes, evaluate.shard_episodes
    task = evaluation_tasks(
        run.config, run.vector, evaluate.tracks, run.shared.seed, max_steps=evaluate.max_steps,
        shard_episodes=size,
    )[shard]  # fmt: skip
    envs = [official.make() for _ in task.seeds]
    paths: dict[Env, list[np.ndarray]] = {env: [] for env in envs}

    def follow(env: Env) -> np.ndarray:
        paths[env].append(_place(env))
        return telemetry(env)

    compute.prepare(run.shared, threads=1)
    agent = Agent(
        run.vision, run.memory, task.config, task.vectors, np.zeros(len(envs), int),
        torch.Generator().manual_seed(task.noise_seed),
    )  # fmt: skip
    outcomes = rollout(envs, task.seeds, agent, max_steps=task.max_steps, telemetry=follow)
    for i, outcome in enumerate(outcomes, task.first_id):
        if outcome.return_ != float(recorded["return"][i]):
            raise UserError(
                f"{run.record.cell}: episode {i} now returns {outcome.return_}, "
                f"not {recorded['return'][i]} as recorded; was this another kind of machine?"
            )
    env, outcome = envs[episode - task.first_id], outcomes[episode - task.first_id]
    car_racing: Any = env.unwrapped
    arrays[f"path_{number}"] = np.stack(paths[env])
    arrays[f"track_{number}"] = np.array([tile[2:4] for tile in car_racing.track], np.float32)
    return {
        "variant": run.record.variant,
        "rank": rank,
        **outcome.row(episode),
    }


def _place(env: Env) -> np.ndarray:
    """Returns x, y and the offset from the centre line, float32 (3,), in units of length."""
    unwrapped: Any = env.unwrapped
    offset = telemetry(env)[TELEMETRY.index("lateral_offset")]
    return np.array([*unwrapped.car.hull.position, offset], np.float32)
