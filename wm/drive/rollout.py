"""The one loop that steps environments: in lockstep, with one policy call a step for all of them.

Collecting, training and evaluating the controller all drive through here, so that observation and
action are aligned in one place: `frames[t]` is what the policy saw when it chose `actions[t]`,
`rewards[t]` is what that action earned, and `frames[t + 1]` is what it led to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np

from wm.core.car_racing import LAP_REWARD, STEP_REWARD
from wm.core.episodes import Episode
from wm.core.errors import UserError
from wm.drive.telemetry import wheels_off_road

Env = gymnasium.Env[np.ndarray, np.ndarray]


class Policy(Protocol):
    """What drives a batch of episodes, such as an agent or exploration's policies."""

    def begin(self, count: int) -> None:
        """Starts `count` episodes, numbered from 0."""

    def act(self, frames: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Returns an action for each live episode, float32 (n, 3).

        `frames` are uint8 (n, 64, 64, 3), those of the episodes `live`, int (n,), ascending. An
        episode that is left out once is over.
        """


@dataclass(frozen=True)
class Outcome:
    """The numbers of an episode that is over, and its recording."""

    seed: int
    """The seed of the track."""
    return_: float
    """The sum of the rewards, and of what `patience` and `off_road_cost` charged."""
    steps: int
    """The number of actions taken."""
    terminated: bool
    """Whether the environment ended the episode: the lap, or the edge of the playfield."""
    truncated: bool
    """Whether a limit ended it: `max_steps`, `patience` or the environment's own."""
    lap_finished: bool
    """Whether the environment says that the lap was finished; for gymnasium every tile reached."""
    track_fraction: float
    """The share of the track's tiles that were reached, 0 to 1 but for rounding; without any that
    the step which leaves the field reaches."""
    episode: Episode | None
    """The recording, if one was asked for; its id is the index of the episode in the batch."""

    def row(self, episode: int) -> dict[str, float | int | bool]:
        """Returns the numbers alone, with the number `episode` in front."""
        numbers = {name: value for name, value in vars(self).items() if name != "episode"}
        return {"episode": episode} | {name.rstrip("_"): value for name, value in numbers.items()}


class _RunningEpisode:
    """An episode under way."""

    def __init__(self, env: Env, seed: int, telemetry: Callable[[Any], np.ndarray] | None) -> None:
        self.env = env
        self.seed = seed
        self.rewards: list[float] = []
        self.last_tile = 0  # steps taken when a tile was last reached
        self.charge = 0.0
        self.terminated = self.truncated = self.lap_finished = False
        self._telemetry = telemetry
        self._frames: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []
        self._values: list[np.ndarray] = []

    def reset(self) -> np.ndarray:
        """Starts the episode; returns its first frame."""
        try:
            frame, _ = self.env.reset(seed=self.seed)
        except Exception as error:
            raise self._failure(error) from error
        self._record(frame)
        return frame

    def step(self, action: np.ndarray) -> np.ndarray:
        """Takes an action, float32 (3,); returns the frame after it."""
        try:
            frame, reward, terminated, truncated, info = self.env.step(action)
        except Exception as error:
            raise self._failure(error) from error
        self.terminated = bool(terminated)
        # gymnasium says both where an episode ends by itself at its last step
        self.truncated = bool(truncated) and not self.terminated
        self.rewards.append(float(reward))
        if self.rewards[-1] > 0.0:
            self.last_tile = len(self.rewards)
        self.lap_finished = bool(info.get("lap_finished", False))
        if self._telemetry is not None:
            self._actions.append(action)
        self._record(frame)
        return frame

    def limit(self, max_steps: int, patience: int | None, off_road_cost: float) -> bool:
        """Applies the limits and the charges; returns whether the episode is over."""
        steps = len(self.rewards)
        if off_road_cost:
            self.charge -= off_road_cost * wheels_off_road(self.env)
        if not self.terminated and steps >= max_steps:
            self.truncated = True
        elif not self.terminated and patience is not None and steps - self.last_tile >= patience:
            self.truncated = True
            self.charge += STEP_REWARD * (max_steps - steps)
        return self.terminated or self.truncated

    def outcome(self, index: int) -> Outcome:
        """Returns how the episode went; `index` is the id of its recording."""
        rewards = np.array(self.rewards)
        return Outcome(
            seed=self.seed,
            return_=float(rewards.sum() + self.charge),
            steps=len(rewards),
            terminated=self.terminated,
            truncated=self.truncated,
            lap_finished=self.lap_finished,
            track_fraction=float((rewards - STEP_REWARD).clip(0.0).sum() / LAP_REWARD),
            episode=self._episode(index) if self._telemetry is not None else None,
        )

    def _record(self, frame: np.ndarray) -> None:
        if self._telemetry is not None:
            self._frames.append(frame)
            self._values.append(self._telemetry(self.env))

    def _episode(self, index: int) -> Episode:
        frames = np.stack(self._frames)
        self._frames.clear()  # or memory would hold the frames of all episodes twice
        return Episode(
            id=index,
            seed=self.seed,
            frames=frames,
            actions=np.stack(self._actions),
            rewards=np.array(self.rewards),
            terminated=self.terminated,
            truncated=self.truncated,
            telemetry=np.stack(self._values),
        )

    def _failure(self, error: Exception) -> UserError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return UserError(
            f"environment: track seed {self.seed} failed at step {len(self.rewards)}: {reason}"
        )


def rollout(
    envs: Sequence[Env],
    seeds: Sequence[int],
    policy: Policy,
    *,
    max_steps: int,
    patience: int | None = None,
    off_road_cost: float = 0.0,
    telemetry: Callable[[Any], np.ndarray] | None = None,
) -> list[Outcome]:
    """Drives one episode for each of `seeds` in lockstep; returns their outcomes in that order.

    `envs` holds at least as many environments; `seeds` name their tracks. An episode that ends
    leaves the batch: it changes nothing for the others. It ends with the environment's own
    `terminated`, after `max_steps` steps, or, if `patience` is given, when that many steps have
    reached no new tile; the steps that were left are then charged `STEP_REWARD` each, as if the
    car had stood still. Every step costs `off_road_cost` for each of the four wheels that touch no
    tile, which the environments of `wm.env.fast` and `wm.env.exact` count. An evaluation has
    neither; a validation of the search and the drives of a round are charged for patience.

    With `telemetry` (environment to float32 (K,)) every outcome carries its `Episode`.
    Raises UserError if an environment raises, and if an action is not finite.
    """
    running = [
        _RunningEpisode(env, seed, telemetry) for env, seed in zip(envs, seeds, strict=False)
    ]
    assert len(running) == len(seeds), f"{len(envs)} environments for {len(seeds)} seeds"
    policy.begin(len(running))
    frames = np.stack(
        [run.reset() for run in running]
    )  # (n, 64, 64, 3): those of the live episodes
    live = np.arange(len(running))
    while len(live):
        actions = policy.act(frames, live)
        assert actions.dtype == np.float32, "what is recorded must be what was driven"
        if not np.isfinite(actions).all():
            raise UserError("rollout: the policy's actions are not finite; its weights are damaged")
        over = np.zeros(len(live), bool)
        for place, index in enumerate(live):
            frames[place] = running[index].step(actions[place])
            over[place] = running[index].limit(max_steps, patience, off_road_cost)
        if over.any():
            frames, live = frames[~over], live[~over]
    return [run.outcome(index) for index, run in enumerate(running)]
