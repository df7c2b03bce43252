"""Controllers in the memory's dreams: what begins them, what they return, whose state is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.utils._python_dispatch import TorchDispatchMode

from tests.control.test_controller import config
from tests.control.test_driving import SHARED
from wm.control.policy.controller import ControllerConfig, Controllers, parameter_count
from wm.control.training import value
from wm.control.training.dream import DreamParams, DreamTask, DreamWorld, draw
from wm.control.training.fitness import ReturnFitness
from wm.core.errors import UserError
from wm.memory import latents
from wm.memory.latents import LatentEpisode
from wm.memory.networks import mixture, trained
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.memory.networks.mixture import Mixture
from wm.nn.functions import exp
from wm.runtime.executor import Processes

Z, H, STEPS = 4, 8, 6
PARAMS = DreamParams(steps=STEPS, context=5, temperature=0.7, discount=None)
VECTORS = np.random.default_rng(0).normal(size=(3, parameter_count(config(), Z, H)))


@pytest.fixture
def dream(tmp_path: Path) -> DreamWorld:
    shape = MdnRnnConfig(hidden_size=H, mixtures=2)
    for seed, name in enumerate(("rnn", "later")):
        torch.manual_seed(seed)
        trained.save(tmp_path / name, MDNRNN(Z, shape), shape)
    generator = np.random.default_rng(0)
    (tmp_path / "latents").mkdir()
    for id_, steps in enumerate((2, 20, 200)):
        mu, logvar = generator.normal(size=(2, steps + 1, Z)).astype(np.float32)
        actions = generator.uniform(size=(steps, 3)).astype(np.float32)
        rewards = generator.uniform(-0.1, 3, size=steps).astype(np.float32)
        content = LatentEpisode(mu, logvar, actions, rewards, False)
        latents.write(tmp_path / "latents", id_, content)
    rnn = tmp_path / "rnn"
    return DreamWorld(SHARED, config(), PARAMS, Z, rnn, rnn, (tmp_path / "latents",))


def by_hand(dream: DreamWorld, vector: np.ndarray, seed: int) -> tuple[float, np.ndarray]:
    """One dream, step by step, with the memory's own methods; returns its return and the states."""
    device = torch.device("cpu")
    seer, dreamer = (trained.load(path, Z, device) for path in (dream.memory, dream.dreamer))
    worker = dream.create_worker()
    mu, action = worker._start(seed)
    uniform, normal = worker._noise(seed)
    controllers = Controllers(torch.from_numpy(vector.astype(np.float32))[None], Z + H, 0)
    sum_, weight, states = 0.0, 1.0, []
    with torch.inference_mode():
        seen, known = seer.begin(1), dreamer.begin(1)
        for t in range(action.shape[1]):
            seen = seer.advance(mu[:, t], action[:, t], seen)
            known = dreamer.advance(mu[:, t], action[:, t], known)
        z = mu[:, -1]
        for t in range(STEPS):
            states.append(seen[0])
            taken = controllers.act(torch.cat([z, seen[0]], dim=1))
            seen = seer.advance(z, taken, seen)
            prediction, known = dreamer.sequence(z[:, None], taken[:, None], known)
            sum_ += weight * float(prediction.reward)
            weight *= dream.params.discount or 1 - float(torch.sigmoid(prediction.done_logit))
            z = draw(
                prediction.mixture, uniform[t, None], normal[t, None], dream.params.temperature
            )
        if dream.params.discount:
            episodes = [latents.read(dream.starts[0], id_) for id_ in range(3)]
            fitted = value.fit(episodes, seer, dream.params.discount, dream.params.lost_cost)
            sum_ += weight * float(fitted(torch.cat([z, seen[0]], dim=1)))
    return sum_, torch.cat(states).numpy()


@pytest.mark.parametrize("discount", [None, 0.9])
@pytest.mark.parametrize("dreamer", ["rnn", "later"])
def test_dreams_in_lockstep_are_those_by_hand(
    dream: DreamWorld, tmp_path: Path, dreamer: str, discount: float | None
) -> None:
    params = PARAMS.model_copy(update={"discount": discount})
    dream = replace(dream, dreamer=tmp_path / dreamer, params=params)
    task = dream.task(VECTORS, [7, 8], noise_seed=0)
    worker = dream.create_worker()
    returns, states = dream.returns(worker, task), dream.states(worker, task)
    assert len(returns) == 6
    assert states.shape == (STEPS * 6, H)
    for index in range(6):
        sum_, seen = by_hand(dream, VECTORS[index // 2], 7 + index % 2)
        assert returns[index] == pytest.approx(sum_, abs=1e-4)
        np.testing.assert_allclose(states.reshape(STEPS, 6, H)[:, index], seen, atol=1e-5)


@pytest.mark.parametrize("discount", [None, 0.9])
@pytest.mark.parametrize("dreamer", ["rnn", "later"])
@pytest.mark.parametrize("form", [config("zh"), config("z"), config("zh", 3)])
def test_the_slope_is_that_of_the_returns(
    dream: DreamWorld, tmp_path: Path, form: ControllerConfig, dreamer: str, discount: float | None
) -> None:
    """By differences, in the same dreams: each parameter a little more and a little less."""
    params = PARAMS.model_copy(update={"discount": discount})
    dream = replace(dream, config=form, dreamer=tmp_path / dreamer, params=params)
    worker, seeds, step = dream.create_worker(), list(range(20)), 2e-3
    vector = np.random.default_rng(1).normal(size=parameter_count(form, Z, H)) / 10
    sum_, gradient = dream.slope(worker, dream.task(vector[None], seeds, 0))
    assert sum_ == pytest.approx(sum(dream.returns(worker, dream.task(vector[None], seeds, 0))))
    aside = step * np.eye(len(vector))
    either_side = np.concatenate([vector + aside, vector - aside])
    returns = np.reshape(dream.returns(worker, dream.task(either_side, seeds, 0)), (2, -1, 20))
    differences = (returns[0] - returns[1]).sum(1) / (2 * step)
    np.testing.assert_allclose(gradient, differences, atol=0.03 * np.abs(gradient).max())


def test_dreams_begin_where_cars_are_lost(dream: DreamWorld) -> None:
    rewards = np.full(200, -0.1, np.float32)
    rewards[:121:10] = 3.0
    real = latents.read(dream.starts[0], 2)
    latents.write(dream.starts[0], 2, replace(real, rewards=rewards))
    for share, expected in ((0.0, 1 / 3), (0.6, 0.6 + 0.4 / 3), (1.0, 1.0)):
        worker = replace(dream, lost_share=share).create_worker()
        begun = [worker._start(seed)[0][0, -1].numpy() for seed in range(600)]
        frames = [np.flatnonzero(at)[0] for z in begun if (at := (real.mu == z).all(1)).any()]
        assert len(frames) / 600 == pytest.approx(expected, abs=0.06)
        if share == 1:  # up to its last tile
            assert (min(frames), max(frames)) == (21, 120)


def test_returns_depend_on_both_memories_and_on_where_dreams_begin(
    dream: DreamWorld, tmp_path: Path
) -> None:
    later = replace(dream, dreamer=tmp_path / "later")
    assert later.inputs == [tmp_path / name for name in ("rnn", "later", "latents")]
    assert dream.inputs == [tmp_path / name for name in ("rnn", "latents")]


def test_a_seed_names_a_dream(dream: DreamWorld) -> None:
    """Whatever else is dreamed beside it: its start and its noise."""
    worker = dream.create_worker()
    alone = dream.returns(worker, DreamTask(VECTORS[:1], [9]))
    beside = dream.returns(worker, DreamTask(VECTORS, [1, 9, 2]))
    assert beside[1] == pytest.approx(alone[0], abs=1e-4)
    assert len({round(number, 6) for number in beside}) == 9


def test_starts_are_frames_of_real_episodes_with_the_steps_before(dream: DreamWorld) -> None:
    worker = dream.create_worker()
    real = [latents.read(dream.starts[0], id_) for id_ in range(3)]
    found = set()
    for seed in range(200):
        mu, action = worker._start(seed)
        (id_,) = [i for i, drive in enumerate(real) if (drive.mu == mu[0, -1].numpy()).all(1).any()]
        frame = int(np.flatnonzero((real[id_].mu == mu[0, -1].numpy()).all(1))[0])
        context = action.shape[1]
        assert context == min(5, len(real[id_].actions))
        assert np.array_equal(mu[0].numpy(), real[id_].mu[frame - context : frame + 1])
        assert np.array_equal(action[0].numpy(), real[id_].actions[frame - context : frame])
        found.add((id_, frame))
    assert {id_ for id_, _ in found} == {0, 1, 2}
    assert {frame for id_, frame in found if id_ == 1} == set(range(5, 21))


def test_no_dream_begins_at_the_frame_after_an_end(dream: DreamWorld) -> None:
    """Nothing follows it: the memory has never seen one as an input."""
    content = latents.read(dream.starts[0], 1)
    latents.write(dream.starts[0], 1, replace(content, terminated=True))
    worker = dream.create_worker()
    last = [worker._start(seed)[0][0, -1].numpy() for seed in range(400)]
    begun = {int(np.flatnonzero(at)[0]) for z in last if (at := (content.mu == z).all(1)).any()}
    assert begun == set(range(5, 20))  # of 20 steps


def test_fitness_in_a_dream_does_not_depend_on_the_workers(dream: DreamWorld) -> None:
    results = []
    for count in (1, 2):
        with Processes(count, dream.create_worker) as executor:
            fitness = ReturnFitness(executor, dream, seed=0, shard_episodes=4)
            drives = fitness.training(VECTORS, 0, 4, repeated=[3])
            results.append((drives.returns, fitness.validation(VECTORS[0], 9)))
            assert drives.seeds[-1] == 3
    assert results[0] == results[1]


def test_draws_follow_the_mixture() -> None:
    torch.manual_seed(0)
    logits, mean, logstd = torch.randn(3, 1, 1, 5, 2)
    chosen = Mixture(torch.log_softmax(logits, dim=2), 3 * mean, logstd - 1)
    count = 200_000
    many = Mixture(*(part.expand(count, 1, 5, 2) for part in chosen))
    noise = torch.rand(count, 2), torch.randn(count, 2)
    for temperature in (1.0, 0.5):
        drawn = draw(many, *noise, temperature)
        sampled = mixture.sample(many, torch.Generator().manual_seed(0), temperature)[:, 0]
        for place in torch.linspace(-6, 6, 25):
            ours, theirs = ((part < place).float().mean(0) for part in (drawn, sampled))
            torch.testing.assert_close(ours, theirs, atol=0.006, rtol=0)
    # the largest number below 1 chooses the last one, whatever the weights' rounded sum
    edge = draw(chosen, torch.full((1, 2), 1 - 2**-24), torch.zeros(1, 2), 1.0)
    torch.testing.assert_close(edge, chosen.mean[:, 0, -1])


class Names(TorchDispatchMode):
    """Keeps the names of what torch computes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):  # type: ignore[no-untyped-def]
        self.seen.add(function.__name__.split(".")[0])
        return function(*arguments, **(keywords or {}))


def test_a_draw_needs_no_sum_that_a_gpu_refuses() -> None:
    """Of a running sum on a GPU torch says that it does not repeat, and stops."""
    torch.manual_seed(0)
    logits, mean, logstd = torch.randn(3, 500, 1, 5, 2)
    mixture_ = Mixture(torch.log_softmax(logits, dim=2), mean, logstd)
    uniform, normal = torch.rand(500, 2), torch.randn(500, 2)
    with Names() as names:
        drawn = draw(mixture_, uniform, normal, 0.7)
    assert "stack" in names.seen
    assert "cumsum" not in names.seen
    summed = torch.softmax(mixture_.logpi[:, 0] / 0.7, dim=1).cumsum(dim=1)
    component = (uniform[:, None] >= summed).sum(1, keepdim=True).clamp(max=4)
    chosen = mixture_.mean[:, 0].gather(1, component)[:, 0]
    std = exp(mixture_.logstd[:, 0].gather(1, component)[:, 0]) * 0.7**0.5
    assert torch.equal(drawn, chosen + std * normal)


def test_a_dream_of_no_episode_is_one_line(dream: DreamWorld, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"none: no episode in it; run encode$"):
        replace(dream, starts=(tmp_path / "none",)).create_worker()


def test_a_cost_that_no_value_would_count_is_named() -> None:
    given = PARAMS.model_dump() | {"lost_cost": 5.0}
    with pytest.raises(ValidationError, match=r"lost_cost\n  Input should be 0 where discount is"):
        DreamParams(**given)
    assert DreamParams(**{**given, "discount": 0.9}).lost_cost == 5.0
