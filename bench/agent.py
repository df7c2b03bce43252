"""Agent steps: environment, encoder, memory and controller together."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import envpool
import gymnasium
import numpy as np
import torch

from bench import limits
from bench.environment import PhysicsOnly, drive
from bench.peers import CHANNELS, IDLE, UsualAgent, resize
from bench.side_by_side import Contest, Rate
from wm.control.policy import controller
from wm.control.policy.agent import Agent
from wm.control.policy.controller import ControllerConfig
from wm.drive.rollout import rollout
from wm.env.fast import environment
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.nn.compute import Compute, seeded
from wm.vision.models.vae import networks as vae
from wm.vision.models.vaegan import networks as vaegan
from wm.vision.networks.trained import Autoencoder, Vision

LANES, TRACKS, STEPS = 64, 2, 150
IDLE_ACTION = np.array([0.0, (1 + np.tanh(-1.0)) / 2, (1 + np.tanh(-2.0)) / 2], np.float32)


new_tracks = itertools.count(10_000, TRACKS)


def ours(vision: Vision, inputs: Literal["z", "zh"], envs: Sequence[gymnasium.Env]) -> float:
    """Returns the steps a second of a shard of the laptop scale: 32 controllers on 2 tracks that
    are new, in lockstep."""
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


def usual(env: gymnasium.Env, channels: int) -> float:
    """Returns the steps a second of one environment at a time, official frames, a batch of one."""
    agent = UsualAgent(1, channels)
    taken, start = 0, time.perf_counter()
    frame, _ = env.reset(seed=0)
    for _ in range(STEPS):
        agent.act(resize(frame)[None])
        frame, _, terminated, truncated, _ = env.step(IDLE_ACTION)
        taken += 1
        if terminated or truncated:
            break
    return taken / (time.perf_counter() - start)


def fed_by_envpool(channels: int) -> float:
    """Returns the steps a second of as many environments as ours has, in EnvPool, and one batch a
    step. Each has a track of its own, where ours share two, as a generation's candidates do."""
    agent = UsualAgent(LANES, channels)
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
    envs, physics = [environment.make() for _ in range(LANES)], PhysicsOnly()
    official = gymnasium.make("CarRacing-v3")
    with seeded(0):
        seed_networks = Autoencoder(*vaegan.build(vaegan.Config(networks="seed")))
    seed_vision = Vision(seed_networks, 32, compute)

    def contest(scale: str, channels: int) -> Contest:
        with seeded(0):
            networks = Autoencoder(*vae.build(vae.Config(channels=channels)))
        vision = Vision(networks, 32, compute)
        work = limits.forward_flops(networks.encoder, (3, 64, 64))

        def alone() -> float:
            first = next(new_tracks)
            return drive(envs[0], range(first, first + TRACKS))

        contenders: dict[str, Rate] = {
            "ours, [z, h]": partial(ours, vision, "zh", envs),
            "ours, z": partial(ours, vision, "z", envs),
            "one environment at a time, gymnasium": partial(usual, official, channels),
            "batched over EnvPool": partial(fed_by_envpool, channels),
            "ours, [z, h], VAE-GAN's seed networks (d = 8)": partial(ours, seed_vision, "zh", envs),
            "ours, z, VAE-GAN's seed networks (d = 8)": partial(ours, seed_vision, "z", envs),
            "ours, the environment alone": alone,
        }

        def limit() -> float:
            """Returns the rate of the physics, then the encoder at the rate of a large product, on
            the one core."""
            encoder = limits.units_per_second(work, compute.dtype)
            return 1 / (1 / drive(physics, range(1, 3)) + 1 / encoder)

        return Contest(
            f"agent with the {scale} VAE, {channels} channels (limit: physics and encoder)",
            "steps/s", contenders, limit, limited=("ours, [z, h]", "ours, z"),
        )  # fmt: skip

    return [contest(scale, channels) for scale, channels in CHANNELS.items()]
