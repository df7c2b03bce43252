"""The memory's dream as the world that controllers are tried in (World Models, section 4).

A dream begins in a real episode: the memory takes in some of its steps, and from there on predicts
what the controller sees. A seed names the frame it begins at and all its noise, as elsewhere it
names a track: the candidates of a generation share both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from torch.nn import functional

from wm.control.policy.controller import ControllerConfig, Controllers, policy_features
from wm.control.training import value
from wm.control.training.value import Value
from wm.core import episodes, seeding
from wm.core.errors import UserError
from wm.core.params import Params, SharedParams
from wm.memory import latents
from wm.memory.latents import LatentEpisode
from wm.memory.networks import trained
from wm.memory.networks.mdnrnn import MDNRNN, State
from wm.memory.networks.mixture import Mixture
from wm.nn import compute
from wm.nn.functions import exp

BEFORE = 100
"""Frames up to a lost car's last tile in which a dream may begin."""


class DreamParams(Params):
    """How the search dreams."""

    steps: int = Field(ge=1)
    """Steps of a dream."""
    context: int = Field(ge=1)
    """Real steps that the memory takes in before it; fewer where an episode has fewer before it."""
    temperature: float = Field(gt=0)
    """The temperature of what is drawn (section 2.2); 1 is the memory's own."""
    discount: float | None = Field(gt=0, lt=1)
    """What a reward counts for each step that it is away; what the dream's last state is worth is
    then added, learned from the real episodes. null: a dream's return is the sum of its rewards."""
    lost_cost: float = Field(default=0.0, ge=0)
    """What losing the road costs, in the rewards of tiles, besides what is then not earned. A drive
    that reaches its lap's end anyway gains little by reaching a tile sooner, so by the rewards
    alone speed counts too much. It is part of what a state is worth, and so needs a discount."""

    @field_validator("lost_cost")
    @classmethod
    def _is_counted(cls, cost: float, info: ValidationInfo) -> float:
        if cost and info.data.get("discount", cost) is None:
            raise PydanticCustomError("lost_cost", "Input should be 0 where discount is null")
        return cost


@dataclass(frozen=True)
class DreamTask:
    """Every controller in every dream, in one lockstep."""

    vectors: np.ndarray
    """The controllers, float (C, P)."""
    seeds: list[int]
    """The seeds of the dreams."""


@dataclass(frozen=True)
class DreamWorld:
    """Dreams from the frames of real episodes; implements wm.control.training.fitness.World."""

    shared: SharedParams
    """The shared parameters: device and precision."""
    config: ControllerConfig
    """What the controllers see."""
    params: DreamParams
    """How long dreams are, and what counts in them."""
    latent_size: int
    """Z."""
    memory: Path
    """The folder of the agent's memory, whose state the controllers see."""
    dreamer: Path
    """The folder of the memory that dreams: the same, or one that has learned more since."""
    starts: tuple[Path, ...]
    """Folders of encoded episodes, in which dreams begin."""
    lost_share: float = 0.0
    """The share of dreams that begin where a car is about to be lost, in those of the episodes that
    end so: in the last BEFORE frames up to its last tile. Without such episodes dreams begin
    anywhere."""

    @property
    def inputs(self) -> list[Path]:
        """The folders that returns depend on."""
        return list(dict.fromkeys([self.memory, self.dreamer, *self.starts]))

    def create_worker(self) -> DreamWorker:
        """Returns a worker's memories, and what it knows of the real episodes."""
        return DreamWorker(self)

    def for_validation(self) -> DreamWorld:
        """Returns the same: no dream knows of wheels."""
        return self

    def task(self, vectors: np.ndarray, seeds: list[int], noise_seed: int) -> DreamTask:
        """Returns the task to have every one of `vectors` (C, P) dream the dreams `seeds`, which
        say all that there is to draw."""
        return DreamTask(vectors, seeds)

    @staticmethod
    def returns(worker: DreamWorker, task: DreamTask) -> list[float]:
        """Returns the returns of the C x len(seeds) dreams, those of a controller together."""
        returns: list[float] = worker.dream(task).tolist()
        return returns

    @staticmethod
    def slope(worker: DreamWorker, task: DreamTask) -> tuple[float, np.ndarray]:
        """Returns the sum of the returns of the dreams of the task's one controller, and its
        gradient with respect to the controller's parameters, float64 (P,)."""
        return worker.slope(task)

    @staticmethod
    def states(worker: DreamWorker, task: DreamTask) -> np.ndarray:
        """Returns the memory's states in the task's dreams, float32 (N, H)."""
        states: list[torch.Tensor] = []
        worker.dream(task, states.append)
        return torch.cat(states).cpu().numpy()


class DreamWorker:
    """A worker's memories, on one thread, and the real episodes that it dreams from."""

    def __init__(self, dream: DreamWorld) -> None:
        device = compute.prepare(dream.shared, threads=1).device
        self._world, self._device = dream, device
        # in eval mode cuDNN has no gradient of an LSTM
        self._memory = trained.load(dream.memory, dream.latent_size, device).train()
        self._dreamer = self._memory
        if dream.dreamer != dream.memory:
            self._dreamer = trained.load(dream.dreamer, dream.latent_size, device).train()
        self._episodes = [
            latents.read(folder, id_) for folder in dream.starts for id_ in episodes.ids_in(folder)
        ]
        if not self._episodes:
            raise UserError(f"{dream.starts[0]}: no episode in it; run encode")
        self._lost: list[tuple[LatentEpisode, int]] = []
        if dream.lost_share:
            tiles = ((episode, value.last_tile(episode)) for episode in self._episodes)
            self._lost = [(episode, tile) for episode, tile in tiles if tile is not None]
        self._value: Value | None = None
        if dream.params.discount is not None:
            self._value = value.fit(
                self._episodes, self._memory, dream.params.discount, dream.params.lost_cost
            )

    @torch.inference_mode()
    def dream(
        self, task: DreamTask, watch: Callable[[torch.Tensor], None] | None = None
    ) -> torch.Tensor:
        """Returns the returns of the task's N dreams, float32 (N,), those of a controller together.
        `watch` is called at each step with the memory's states as the controllers see them, float32
        (N, H)."""
        return self._dream_on(self._vectors(task), task.seeds, watch).cpu()

    def slope(self, task: DreamTask) -> tuple[float, np.ndarray]:
        """Returns the sum of the returns of the dreams of the task's one controller, and its
        gradient, float64 (P,).

        It goes through the rewards, the chances of an end where they count, the value of the last
        state and the Gaussians' means and deviations; which Gaussian was drawn has none.
        """
        assert len(task.vectors) == 1, f"{len(task.vectors)} controllers, one slope"
        vectors = self._vectors(task).requires_grad_()
        sum_ = self._dream_on(vectors, task.seeds).double().sum()
        (gradient,) = torch.autograd.grad(sum_, vectors)
        return sum_.item(), gradient[0].double().cpu().numpy()

    def _vectors(self, task: DreamTask) -> torch.Tensor:
        return torch.from_numpy(task.vectors.astype(np.float32)).to(self._device)

    def _dream_on(
        self,
        vectors: torch.Tensor,
        seeds: list[int],
        watch: Callable[[torch.Tensor], None] | None = None,
    ) -> torch.Tensor:
        """Returns the returns of every controller, float32 (C, P), in each of the dreams: float32
        (N,).

        Without a discount nothing counts after an end that the memory expects. With one the drive
        goes on: what a lost car is worth the last state's value says, and a lap's end is as any
        other place of the road.
        """
        params, config = self._world.params, self._world.config
        count, dreams = len(vectors), len(seeds)
        starts = [self._start(seed) for seed in seeds]
        z = torch.cat([mu[:, -1] for mu, _ in starts]).repeat(count, 1).to(self._device)
        seen, known = self._after(self._memory, starts, count), None
        if self._dreamer is not self._memory:
            known = self._after(self._dreamer, starts, count)
        noise = [self._noise(seed) for seed in seeds]
        uniform, normal = (torch.stack(part, 1).to(z.device) for part in zip(*noise, strict=True))
        features = policy_features(config, z, seen[0]).shape[1]
        controllers = Controllers(
            vectors.repeat_interleave(dreams, 0), features, config.hidden_units
        )
        return_, weight = torch.zeros(len(z), device=z.device), torch.ones(len(z), device=z.device)
        for step in range(params.steps):
            if watch is not None:
                watch(seen[0])
            action = controllers.act(policy_features(config, z, seen[0]))
            if known is None:
                prediction, seen = self._memory.sequence(z[:, None], action[:, None], seen)
            else:
                prediction, known = self._dreamer.sequence(z[:, None], action[:, None], known)
                seen = self._memory.advance(z, action, seen)
            drawn = uniform[step].repeat(count, 1), normal[step].repeat(count, 1)
            z = draw(prediction.mixture, *drawn, params.temperature)
            return_ = return_ + weight * prediction.reward[:, 0]
            going_on = params.discount or torch.sigmoid(-prediction.done_logit[:, 0])
            weight = weight * going_on
        if self._value is not None:
            return_ = return_ + weight * self._value(torch.cat([z, seen[0]], dim=1))
        return return_

    def _start(self, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the real steps before the dream `seed` and the frame that it begins at: latents
        (1, C + 1, Z) and actions (1, C, 3)."""
        generator = seeding.generator(seed, "train_controller", "start")
        context = self._world.params.context
        if self._lost and generator.random() < self._world.lost_share:
            episode, last = self._lost[generator.integers(len(self._lost))]
            least = max(last - BEFORE + 1, 0)
        else:
            episode = self._episodes[generator.integers(len(self._episodes))]
            steps = len(episode.actions)
            # nothing follows the frame after an end
            last = max(0, steps - 1) if episode.terminated else steps
            least = min(context, last)
        frame = int(generator.integers(least, last + 1))
        first = max(0, frame - context)
        mu, action = episode.mu[first : frame + 1], episode.actions[first:frame]
        return torch.from_numpy(mu)[None], torch.from_numpy(action)[None]

    def _after(
        self, memory: MDNRNN, starts: list[tuple[torch.Tensor, torch.Tensor]], count: int
    ) -> State:
        """Returns a memory's state where each of E dreams begins, for each of `count` controllers:
        (count x E, H) each."""
        h, c = torch.empty(2, len(starts), memory.hidden_size, device=self._device)
        lengths = np.array([action.shape[1] for _, action in starts])
        for length in np.unique(lengths):  # nearly all begin after equally many steps
            rows = np.flatnonzero(lengths == length).tolist()
            of_mu, of_action = zip(*(starts[row] for row in rows), strict=True)
            mu, action = (torch.cat(part).to(self._device) for part in (of_mu, of_action))
            with torch.no_grad():
                h[rows], c[rows] = memory.states(mu[:, :-1], action)[1]
        return h.repeat(count, 1), c.repeat(count, 1)

    def _noise(self, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns all that the dream `seed` draws: uniform and normal numbers, (steps, Z) each."""
        shape = self._world.params.steps, self._world.latent_size
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(shape, generator=generator), torch.randn(shape, generator=generator)


def draw(
    mixture: Mixture, uniform: torch.Tensor, normal: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Returns z (B, Z) of a mixture over one step, (B, 1, K, Z), by given noise, float32 (B, Z)
    each: `uniform` in [0, 1) chooses the Gaussian and `normal` the place in it.

    As wm.memory.networks.mixture.sample, seven times as fast, and the same whatever else is drawn.
    """
    logpi, mean, logstd = (part[:, 0] for part in mixture)
    weights = functional.softmax(logpi / temperature, dim=1).double().unbind(1)
    # cumsum's sums, in double as its own: itself it is refused on a GPU, where it does not repeat
    summed = torch.stack(list(accumulate(weights)), 1).float()
    passed = uniform[:, None] >= summed
    component = passed.sum(dim=1, keepdim=True).clamp(max=logpi.shape[1] - 1)
    std = exp(logstd.gather(1, component)[:, 0]) * temperature**0.5
    return mean.gather(1, component)[:, 0] + std * normal
