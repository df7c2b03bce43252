"""What the report shows and only the models can make: results/exhibits.safetensors and .json.

Both vision models of one training seed look at the same held-out frames; what is picked is picked
by rule. The drives repeat shards of the official evaluation with the car's place recorded, and
their returns must come out as they were recorded then, to the last bit.

exhibits.json names the seed and the cells, and says of what each array of the other file is:

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
from gymnasium import Env

from stages.encode import Encode
from stages.evaluate import Evaluate
from study import experiments, runs
from study.grid import VAE, VAEGAN, Cell
from study.runs import EXHIBITS, Run
from wm import (
    artifacts,
    car_racing,
    compute,
    controller,
    episodes,
    figures,
    latents,
    memory,
    params,
    seeding,
    vae,
    vision,
)
from wm.agent import Agent
from wm.controller import ControllerConfig
from wm.errors import UserError
from wm.mdnrnn import MDNRNN
from wm.memory_metrics import HORIZONS
from wm.rollout import rollout
from wm.vision import Vision
from wm.vision_data import VisionData

RANKS = (0, 25, 50, 75, 100)
DIMENSIONS = 6
VALUES = (-3, -2, -1, 0, 1, 2, 3)
DRIVES = {"worst": 0.0, "median": 0.5}
"""Which episodes are driven again, by their place in the order of returns."""


@dataclass(frozen=True)
class Driver:
    """A finished run's models, and what its params.yaml says."""

    run: Run
    folder: Path
    shared: params.Run
    vision: Vision
    memory: MDNRNN
    config: ControllerConfig
    vector: np.ndarray


def write(seed: int) -> None:
    """Writes both files from the experiments vae-<seed> and vaegan-<seed>.

    Raises UserError unless both have finished here (their models are in DVC's cache, not in git).
    """
    arrays: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        drivers = {
            variant.name: _fetch(Cell(variant, seed), Path(folder) / variant.name)
            for variant in (VAE, VAEGAN)
        }
        facts: dict[str, Any] = {
            "seed": seed,
            "cells": [driver.run.cell for driver in drivers.values()],
            "ranks": RANKS,
            "mse": {},
            "traversal": {},
            "traversal_values": VALUES,
            "dream_steps": HORIZONS,
            "drives": [],
        }
        _pictures(drivers, arrays, facts)
        for name, driver in drivers.items():
            _dream(name, driver, arrays)
            for rank, place in DRIVES.items():
                facts["drives"].append(_drive(driver, rank, place, len(facts["drives"]), arrays))
    artifacts.save_tensors(EXHIBITS.with_suffix(".safetensors"), arrays)
    artifacts.write_json(EXHIBITS.with_suffix(".json"), facts)


def _fetch(cell: Cell, folder: Path) -> Driver:
    run = runs.load(cell)
    if run is None or run.error is not None:
        raise UserError(f"{cell.name}: has no result yet; run `make study`")
    revision = next((r for r in experiments.revisions(cell.name) if _made(r, run)), None)
    if revision is None:
        raise UserError(f"{cell.name}: its experiment is not in this repository; `dvc exp pull` "
                        f"it, or delete {run.directory} and run `make study`")  # fmt: skip
    files = DVCFileSystem(rev=revision)
    folder.mkdir()
    for path in ("params.yaml", "data/episodes", "data/latents", "models"):
        try:
            files.get(path, str(folder / path), recursive=True)
        except FileNotFoundError:
            raise UserError(f"{cell.name}: {path} is not in DVC's cache; run `dvc pull`") from None
    shared, _ = params.load("encode", Encode, folder / "params.yaml")
    device = compute.prepare(shared, threads=1)
    eyes = vision.load(folder / "models" / shared.vision, device)
    remembered = memory.load(folder / "models/rnn", eyes.latent_size, device.device)
    config, vector = controller.load(
        folder / "models/controller", eyes.latent_size, remembered.hidden_size
    )
    return Driver(run, folder, shared, eyes, remembered, config, vector)


def _made(revision: str, run: Run) -> bool:
    """Whether an experiment is the one that a run was kept from."""
    found = [out for outs in experiments.output_hashes(revision).values() for out in outs.items()]
    return {*run.hashes.items()} <= {*found}


def _pictures(
    drivers: dict[str, Driver], arrays: dict[str, np.ndarray], facts: dict[str, Any]
) -> None:
    """Reconstructions and traversals: both models' of the same frames."""
    first = next(iter(drivers.values()))
    shared, encode = params.load("encode", Encode, first.folder / "params.yaml")
    data = VisionData(
        first.folder / "data/episodes", encode.held_out_frames, shared.seed, first.vision.compute
    )
    pictures = {name: data.reconstruct(driver.vision) for name, driver in drivers.items()}
    errors = {name: figures.mse(data.held_out, shown) for name, shown in pictures.items()}
    order = np.argsort(sum(errors.values()), kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, len(RANKS)).round().astype(int)]
    arrays["frames"] = data.held_out[chosen]
    for name, driver in drivers.items():
        arrays[f"reconstruction_{name}"] = pictures[name][chosen]
        facts["mse"][name] = errors[name][chosen].tolist()
        arrays[f"traversal_{name}"], facts["traversal"][name] = _traversal(
            driver.vision, data.held_out, int(chosen[len(chosen) // 2])
        )


def _traversal(seen: Vision, frames: np.ndarray, frame: int) -> tuple[np.ndarray, dict[str, Any]]:
    mu, logvar = seen.encode(frames)
    kl = vae.kl_divergence(mu, logvar).mean(dim=0)
    dimensions = torch.argsort(kl, descending=True, stable=True)[:DIMENSIONS]
    mean, std = mu.mean(dim=0), mu.std(dim=0)
    rows = []
    for dimension in dimensions.tolist():
        z = mu[frame].repeat(len(VALUES), 1)
        z[:, dimension] = mean[dimension] + std[dimension] * torch.tensor(VALUES).to(z)
        rows.append(seen.decode(z))
    kept = {"dimensions": dimensions.tolist(), "kl": kl[dimensions].tolist()}
    return np.stack(rows), kept


def _dream(name: str, driver: Driver, arrays: dict[str, np.ndarray]) -> None:
    """The first dream of train_rnn's own measurement; the same frames for either model."""
    where = driver.folder / "data"
    _, held_out = episodes.split(episodes.ids_in(where / "latents"))
    files = [episodes.EpisodeFile(where / "episodes" / episodes.file_name(i)) for i in held_out]
    encoded = [latents.read(where / "latents", i) for i in held_out]
    _, real, dreamed = memory.open_loop(driver.memory, driver.vision, files[:1], encoded[:1])
    steps = np.array(HORIZONS)
    arrays["dream_real"], arrays[f"dream_{name}"] = real[steps], dreamed[steps - 1]


def _drive(
    driver: Driver, rank: str, place: float, number: int, arrays: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Drives the shard of an evaluated episode again and records where the car was."""
    _, evaluate = params.load("evaluate", Evaluate, driver.folder / "params.yaml")
    recorded = driver.run.curve("evaluate")
    ordered = recorded.sort_values("return", kind="stable")["episode"]
    episode = int(ordered.iloc[round(place * (len(ordered) - 1))])
    shard, size = episode // evaluate.shard_episodes, evaluate.shard_episodes
    members = range(shard * size, min((shard + 1) * size, evaluate.episodes))
    envs = [car_racing.make("official") for _ in members]
    compute.prepare(driver.shared, threads=1)
    agent = Agent(
        driver.vision, driver.memory, driver.config, driver.vector[None],
        np.zeros(len(members), int),
        torch.Generator().manual_seed(seeding.integer(driver.shared.seed, "evaluate noise", shard)),
    )  # fmt: skip
    outcomes = rollout(
        envs, [seeding.evaluation_seed(i) for i in members], agent,
        max_steps=evaluate.max_steps, telemetry=_place,
    )  # fmt: skip
    for i, outcome in zip(members, outcomes, strict=True):
        if outcome.return_ != float(recorded["return"][i]):
            raise UserError(
                f"{driver.run.cell}: episode {i} now returns {outcome.return_}, "
                f"not {recorded['return'][i]} as recorded; was this another kind of machine?"
            )
    ours: Any = envs[episode - members[0]].unwrapped
    outcome = outcomes[episode - members[0]]
    assert outcome.episode is not None
    arrays[f"path_{number}"] = outcome.episode.telemetry
    arrays[f"track_{number}"] = np.array([tile[2:4] for tile in ours.track], np.float32)
    return {
        "variant": driver.run.variant,
        "rank": rank,
        **outcome.row(episode),
    }


def _place(env: Env[Any, Any]) -> np.ndarray:
    """x, y and the offset from the centre line, float32 (3,), in units."""
    unwrapped: Any = env.unwrapped
    offset = car_racing.telemetry(env)[car_racing.TELEMETRY.index("lateral_offset")]
    return np.array([*unwrapped.car.hull.position, offset], np.float32)
