"""The trained memory on disk, and what it is worth on held-out episodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from wm import mdnrnn, memory_metrics, weights
from wm.episodes import EpisodeFile
from wm.errors import UserError
from wm.latents import LatentEpisode
from wm.mdnrnn import MDNRNN, MdnRnnConfig
from wm.vision import Vision

CONTEXT = 60
"""Real steps before a dream is measured: beyond the zoom-in of the first 50."""
SAME = 0.1
"""Mean distance of latents, which have a spread of about 1, that another size of batch, or another
machine's arithmetic, may make of one model's; two models' are apart by about 1."""
DREAM_EVERY = 100
"""Steps between the starts of measured dreams in an episode."""


def save(directory: Path | str, model: MDNRNN, config: MdnRnnConfig) -> None:
    """Writes the network into the folder `directory`."""
    weights.save(directory, model, {"latent_size": model.latent_size, **config.model_dump()})


def load(directory: Path | str, latent_size: int, device: torch.device) -> MDNRNN:
    """The network in `directory`, for latents of this size, in inference mode.

    Raises UserError when it is missing, damaged or made for another vision model.
    """
    config = read_config(directory, latent_size)
    model = weights.load(directory, lambda: MDNRNN(latent_size, config))
    return model.to(device).eval().requires_grad_(False)


def read_config(directory: Path | str, latent_size: int) -> MdnRnnConfig:
    """The shape of the network in `directory`, which is for latents of this size; UserError as
    in `load`."""
    saved = weights.read_config(directory)
    path = f"{directory}/{weights.CONFIG}"
    if (size := saved.pop("latent_size", None)) != latent_size:
        raise UserError(
            f"{path}: latent_size is {size!r}, vision's {latent_size}; run train_rnn again"
        )
    try:
        return MdnRnnConfig(**saved)
    except ValidationError as error:
        reason = error.errors()[0]
        key = reason["loc"][0]
        raise UserError(f"{path}: {key}: {reason['msg']}; run train_rnn again") from None


def likelihood(
    model: MDNRNN, train: Sequence[LatentEpisode], held_out: Sequence[LatentEpisode]
) -> dict[str, float]:
    """memory_metrics' NLL and its baselines, and the reward head's correlation, of the held-out
    episodes, each as one sequence. z is drawn once, from generators of fixed seed."""
    pairs = [_transitions(episode, index) for index, episode in enumerate(train)]
    baselines = memory_metrics.Baselines.fit(
        np.concatenate([z[:-1] for z in pairs]), np.concatenate([z[1:] for z in pairs])
    )
    nll, current, following, predicted, actual = [], [], [], [], []
    device = next(model.parameters()).device
    for index, episode in enumerate(held_out):
        z = _transitions(episode, index)
        target = torch.from_numpy(z).to(device)[None]
        with torch.inference_mode():
            action = torch.from_numpy(episode.actions).to(device)[None]
            prediction, _ = model.sequence(target[:, :-1], action)
            nll.append(mdnrnn.nll(prediction.mixture, target[:, 1:])[0].cpu().numpy())
        predicted.append(prediction.reward[0].cpu().numpy())
        actual.append(episode.rewards.clip(mdnrnn.REWARD_FLOOR))
        current.append(z[:-1])
        following.append(z[1:])
    return {
        **baselines.likelihood(
            np.concatenate(nll), np.concatenate(current), np.concatenate(following)
        ),
        **memory_metrics.reward_correlation(np.concatenate(predicted), np.concatenate(actual)),
    }


def check_encoded(
    vision: Vision, files: Sequence[EpisodeFile], latents: Sequence[LatentEpisode]
) -> None:
    """UserError unless these are latents of the model's size and, as far as the last frame of each
    of the files tells (of the first latents, in their order), what the model makes of them."""
    if {episode.mu.shape[1] for episode in latents} == {vision.latent_size}:
        frames = np.concatenate([file.frames([len(file) - 1]) for file in files])
        mu = vision.encode(frames)[0].cpu().numpy()
        stored = np.stack([episode.mu[-1] for episode in latents[: len(files)]])
        if mu.shape == stored.shape and np.abs(mu - stored).mean() < SAME:
            return
    raise UserError("data/latents: not what the vision model makes of the episodes; run encode")


def open_loop(
    model: MDNRNN, vision: Vision, files: Sequence[EpisodeFile], latents: Sequence[LatentEpisode]
) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Dreams along the real actions of held-out episodes, after `CONTEXT` real steps each.

    A dream starts every `DREAM_EVERY` steps of an episode and is as long as the longest of
    memory_metrics.HORIZONS; where no episode is that long, context and dream share the longest.
    Returns (metrics, the first dream's true frames (H + 1, 64, 64, 3) from the last one that the
    model saw, the dreamed ones (H, 64, 64, 3)).
    """
    longest = max(len(episode.actions) for episode in latents)
    context = min(CONTEXT, longest // 2)
    horizon = min(max(memory_metrics.HORIZONS), longest - context)
    length = context + horizon
    mu, actions, frames = [], [], []
    for file, episode in zip(files, latents, strict=True):
        for start in range(0, len(episode.actions) - length + 1, DREAM_EVERY):
            mu.append(episode.mu[start : start + length + 1])
            actions.append(episode.actions[start : start + length])
            frames.append(file.frames(range(start + context, start + length + 1)))
    device = next(model.parameters()).device

    def step(z: np.ndarray, action: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        now, taken = (torch.from_numpy(x).to(device)[:, None] for x in (z, action))
        with torch.inference_mode():
            prediction, state = model.sequence(now, taken, state)
        return mdnrnn.expectation(prediction.mixture)[:, 0].cpu().numpy(), state

    dreamed = memory_metrics.dream(step, np.stack(mu), np.stack(actions), context)
    metrics = memory_metrics.open_loop(
        lambda z: vision.decode(torch.from_numpy(z)), dreamed, np.stack(frames)
    )
    return metrics, frames[0], vision.decode(torch.from_numpy(dreamed[0]))


def _transitions(episode: LatentEpisode, index: int) -> np.ndarray:
    """One draw of the episode's z, float32 (T + 1, Z)."""
    noise = np.random.Generator(np.random.PCG64(index)).standard_normal(episode.mu.shape)
    z: np.ndarray = episode.mu + np.exp(0.5 * episode.logvar) * noise.astype(np.float32)
    return z
