"""Published models on one track, in step: each has an environment and an episode of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from play import pictures, published
from play.watched import Watched
from wm.drive.rollout import Outcome, Policy, rollout
from wm.env import official
from wm.runtime.progress import Progress

Show = Callable[[Image.Image], None]


class Together:
    """One policy an episode, each as if alone; implements wm.drive.rollout.Policy."""

    def __init__(self, policies: Sequence[Policy], stepped: Callable[[int], None]) -> None:
        """`stepped` is told how many episodes have taken a step, after each but the last."""
        self._policies, self._stepped = policies, stepped
        self.taking = 0

    def begin(self, count: int) -> None:
        """Starts `count` episodes, one for each policy."""
        assert count == len(self._policies), f"{len(self._policies)} policies, {count} episodes"
        for policy in self._policies:
            policy.begin(1)
        self.taking = 0

    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Returns actions, float32 (n, 3), for frames, uint8 (n, 64, 64, 3), of the episodes
        `live`."""
        if self.taking:
            self._stepped(self.taking)
        self.taking = len(live)
        only = np.zeros(1, int)
        # a batch of one each: in a larger one the products differ in their last bits
        actions = [
            self._policies[index].act(frame[None], only)
            for frame, index in zip(frames, live, strict=True)
        ]
        return np.concatenate(actions)


def drive(
    names: Sequence[str],
    seed: int,
    *,
    steps: int,
    show: Show,
    stopped: Callable[[], bool],
) -> list[Outcome]:
    """Drives an episode on the track `seed` with each of the models; returns their outcomes.

    `show` gets a picture after every step: of one model as gymnasium draws it, of several their
    captioned pictures in a row, in which an episode that is over stands still. Episodes are
    truncated with the first step after which `stopped`.
    """
    agents = [published.agent(name) for name in names]

    def make(name: str) -> Watched:
        return Watched(official.make("rgb_array"), lambda steps: name, stopped)

    envs = [make(name) for name in names]
    with Progress(" and ".join(names), steps * len(names), "steps") as progress:

        def stepped(count: int) -> None:
            progress.advance(count)
            if len(envs) == 1:
                show(Image.fromarray(envs[0].plain))
            else:
                show(pictures.row([env.captioned for env in envs]))

        policy = Together(agents, stepped)
        outcomes = rollout(envs, [seed] * len(names), policy, max_steps=steps)
        stepped(policy.taking)
    for env in envs:
        env.close()
    return outcomes
