"""Where dreams begin: frames of held-out episodes, chosen by rule, with the steps before each.

The rule: of all frames of the held-out episodes that come after the zoom-in and CONTEXT more steps,
and in which the car is on the road and heads along it, sorted by the curvature ahead, those at the
middles of COUNT equal parts: from the sharpest bend to one side to the sharpest to the other. Where
no frame qualifies, the last one of every episode, COUNT of them at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from wm.core.car_racing import TELEMETRY, ZOOM_STEPS, along_road
from wm.core.episodes import Episode, EpisodeFile
from wm.memory.networks.mdnrnn import MDNRNN
from wm.vision.networks.trained import Vision

COUNT = 6
"""Starts that are chosen."""
CONTEXT = 20
"""Real steps that the memory sees before the dream; less where an episode has less. After 50 its
state would be within 1 % of that after all, after 20 it is within 5 % or so, in less space."""


def choose(files: Sequence[EpisodeFile]) -> list[Episode]:
    """Returns the starts: each the last frame of a cut of an episode, of CONTEXT steps."""
    found: list[tuple[float, int, int]] = []
    for which, file in enumerate(files):
        telemetry = file.telemetry
        curvature = telemetry[:, TELEMETRY.index("curvature_ahead")]
        good = along_road(telemetry)
        good[: ZOOM_STEPS + CONTEXT] = False
        found += [(float(curvature[frame]), which, int(frame)) for frame in np.flatnonzero(good)]
    if found:
        ranked = sorted(found)
        places = [(2 * i + 1) * len(ranked) // (2 * COUNT) for i in range(COUNT)]
        chosen = [ranked[place][1:] for place in dict.fromkeys(places)]
    else:
        chosen = [(which, len(file) - 1) for which, file in enumerate(files)][:COUNT]
    return [cut(files[which].read(), frame) for which, frame in chosen]


def cut(episode: Episode, frame: int) -> Episode:
    """Returns the episode's CONTEXT steps before a frame, or all that there are, and the frame."""
    first = max(0, frame - CONTEXT)
    return replace(
        episode,
        frames=episode.frames[first : frame + 1],
        actions=episode.actions[first:frame],
        rewards=episode.rewards[first:frame],
        telemetry=episode.telemetry[first : frame + 1],
        terminated=False,
        truncated=True,
    )


@torch.inference_mode()
def remembered(
    vision: Vision, memory: MDNRNN, start: Episode
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the mean latent of the start's last frame, float32 (Z,), and the memory's h and c,
    float32 (H,), after the steps before it."""
    mu = vision.encode(start.frames)[0].to(next(memory.parameters()).device)
    h, c = memory.begin(1, mu.device)
    for z, action in zip(mu[:-1], torch.tensor(start.actions, device=mu.device), strict=True):
        h, c = memory.advance(z[None], action[None], (h, c))
    return mu[-1].cpu().numpy(), h[0].cpu().numpy(), c[0].cpu().numpy()
