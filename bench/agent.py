"""Agent steps: environment, encoder, memory and controller together."""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import Any, Literal

import envpool
import gymnasium
import numpy as np
import torch

from bench import limits
from bench.environment import Undrawn, drive
from bench.peers import UsualAgent, resize
from bench.side_by_side import Contest, Rate
from wm import controller, vae, vaegan
from wm.agent import Agent
from wm.car_racing import make
from wm.compute import Compute
from wm.controller import ControllerConfig
from wm.mdnrnn import MDNRNN, MdnRnnConfig
from wm.rollout import rollout
from wm.vision import Vision

LANES, TRACKS, STEPS = 64, 2, 400
IDLE = (0.0, -1.0, -2.0)  # before tanh: little gas, so that an episode lasts
IDLE_ACTION = np.array([0.0, (1 + np.tanh(-1.0)) / 2, (1 + np.tanh(-2.0)) / 2], np.float32)


new_tracks = itertools.count(10_000, TRACKS)


def ours(vision: Vision, inputs: Literal["z", "zh"], envs: list[gymnasium.Env]) -> float:
    """A shard of the laptop scale: 32 controllers on 2 tracks that are new, in lockstep."""
    config = ControllerConfig(inputs=inputs, hidden_units=0, sample_z=False)
    memory = MDNRNN(vision.latent_size, MdnRnnConfig(hidden_size=256, mixtures=5)).eval()
    size = controller.parameter_count(config, vision.latent_size, 256)
    vectors = np.tile(controller.biased(IDLE, size), (LANES // TRACKS, 1))
    candidates = np.repeat(np.arange(len(vectors)), TRACKS)
    agent = Agent(vision, memory, config, vectors, candidates, torch.Generator())
    start = time.perf_counter()
    first = next(new_tracks)
    seeds = list(range(first, first + TRACKS)) * len(vectors)
    outcomes = rollout(envs, seeds, agent, max_steps=STEPS)
    return sum(outcome.steps for outcome in outcomes) / (time.perf_counter() - start)


def usual(env: gymnasium.Env) -> float:
    """One environment at a time, official frames, a batch of one."""
    agent = UsualAgent(1)
    taken, start = 0, time.perf_counter()
    frame, _ = env.reset(seed=0)
    for _ in range(STEPS):
        agent.act(resize(frame)[None])
        frame, _, terminated, truncated, _ = env.step(IDLE_ACTION)
        taken += 1
        if terminated or truncated:
            break
    return taken / (time.perf_counter() - start)


def fed_by_envpool() -> float:
    """As many environments as ours has, in EnvPool, and one batch a step. Each has a track of its
    own, where ours share two, as a generation's candidates do."""
    agent = UsualAgent(LANES)
    pool: Any = envpool.make_gymnasium(
        "CarRacing-v3", num_envs=LANES, num_threads=1, max_episode_steps=STEPS, seed=1
    )
    idle = np.tile(IDLE_ACTION, (LANES, 1))
    start = time.perf_counter()
    frames, _ = pool.reset()
    for _ in range(STEPS):
        agent.act(np.stack([resize(frame) for frame in frames]))
        frames = pool.step(idle)[0]
    rate = LANES * STEPS / (time.perf_counter() - start)
    pool.close()
    return rate


def contests(compute: Compute) -> list[Contest]:
    with vae.seeded(0):
        plain, seed = vae.VAE(vae.VaeConfig()), vaegan.VAEGAN(vaegan.VaeganConfig(networks="seed"))
    eyes = {
        "VAE": Vision(plain.encoder, plain.decoder, 32, compute),
        "VAE-GAN, seed networks (d = 8)": Vision(seed.encoder, seed.decoder, 32, compute),
    }
    envs = [make("fast") for _ in range(LANES)]
    official = gymnasium.make("CarRacing-v3")
    contenders: dict[str, Rate] = {
        f"ours, {name}, {inputs}": partial(ours, vision, inputs, envs)
        for name, vision in eyes.items()
        for inputs in ("zh", "z")
    }
    contenders["one environment at a time, gymnasium"] = partial(usual, official)
    contenders["batched over EnvPool"] = fed_by_envpool
    work = limits.forward_flops(plain.encoder, (3, 64, 64))
    undrawn = Undrawn()

    def limit() -> float:
        """The physics, then the VAE's encoder at the rate of a large product, on the one core."""
        encoder = limits.units_per_second(work, compute.dtype)
        return 1 / (1 / drive(undrawn, range(1, 3)) + 1 / encoder)

    return [
        Contest(
            "agent (limit: physics and the VAE's encoder)", "steps/s", contenders, limit,
            limited=("ours, VAE, zh", "ours, VAE, z"),
        )
    ]  # fmt: skip
