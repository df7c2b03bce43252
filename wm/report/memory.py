"""What a trained MDN-RNN is worth on held-out episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from wm.core import seeding
from wm.core.car_racing import REWARD_FLOOR
from wm.core.episodes import EpisodeFile
from wm.memory.latents import LatentEpisode
from wm.memory.networks import mixture
from wm.memory.networks.mdnrnn import MDNRNN
from wm.nn.posterior import reparameterise
from wm.report import memory_metrics
from wm.report.memory_metrics import Transitions
from wm.vision.networks.trained import Vision

CONTEXT = 60
"""Real steps before a dream is measured: beyond the zoom-in of the first 50."""
DREAM_EVERY = 100
"""Steps between the starts of measured dreams in an episode."""


def likelihood(
    model: MDNRNN, train: Sequence[LatentEpisode], held_out: Sequence[LatentEpisode]
) -> dict[str, float]:
    """Returns the NLL beside its baselines and the reward head's correlation on the held-out
    episodes, each as one sequence. The model is given the latents' means, and predicts a sample,
    drawn once from generators that are always the same."""
    baselines = memory_metrics.Baselines.fit(
        _transitions(episode, "training", i) for i, episode in enumerate(train)
    )
    nll, transitions, predicted, actual = [], [], [], []
    device = next(model.parameters()).device
    for index, episode in enumerate(held_out):
        known = _transitions(episode, "held out", index)
        mu, actions, z = (
            torch.from_numpy(array).to(device)[None] for array in (known.mu, known.actions, known.z)
        )
        with torch.inference_mode():
            prediction, _ = model.sequence(mu[:, :-1], actions)
            nll.append(mixture.nll(prediction.mixture, z[:, 1:])[0].cpu().numpy())
        transitions.append(known)
        predicted.append(prediction.reward[0].cpu().numpy())
        actual.append(episode.rewards.clip(REWARD_FLOOR))
    return {
        **baselines.likelihood(nll, transitions),
        **memory_metrics.reward_correlation(np.concatenate(predicted), np.concatenate(actual)),
    }


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
    context = min(CONTEXT, max(longest - max(memory_metrics.HORIZONS), longest // 2))
    horizon = min(max(memory_metrics.HORIZONS), longest - context)
    length = context + horizon
    measured = [0, *(h for h in memory_metrics.HORIZONS if h <= horizon)]
    dreams = [
        (file, episode, start)
        for file, episode in zip(files, latents, strict=True)
        for start in range(0, len(episode.actions) - length + 1, DREAM_EVERY)
    ]
    mu = np.stack([episode.mu[start : start + length + 1] for _, episode, start in dreams])
    actions = np.stack([episode.actions[start : start + length] for _, episode, start in dreams])
    # not all of them: at the paper's scale they would be 5 GB
    frames = np.stack(
        [file.frames([start + context + h for h in measured]) for file, _, start in dreams]
    )
    file, _, start = dreams[0]
    first = file.frames(range(start + context, start + length + 1))
    device = next(model.parameters()).device

    def step(z: np.ndarray, action: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        now, taken = (torch.from_numpy(x).to(device)[:, None] for x in (z, action))
        with torch.inference_mode():
            prediction, state = model.sequence(now, taken, state)
        return mixture.expectation(prediction.mixture)[:, 0].cpu().numpy(), state

    dreamed = memory_metrics.dream(step, mu, actions, context)
    metrics = memory_metrics.open_loop_errors(
        lambda z: vision.decode(torch.from_numpy(z)), dreamed, frames
    )
    return metrics, first, vision.decode(torch.from_numpy(dreamed[0]))


def _transitions(episode: LatentEpisode, side: str, index: int) -> Transitions:
    """Returns the episode with one draw of its latents."""
    generator = seeding.generator(0, "measure_rnn", f"{side} noise", index)
    noise = generator.standard_normal(episode.mu.shape, np.float32)
    z = reparameterise(episode.mu, episode.logvar, noise)
    return Transitions(episode.mu, episode.actions, z)
