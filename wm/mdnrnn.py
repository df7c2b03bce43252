"""The memory M: an LSTM whose output is a mixture of Gaussians over the next latent.

World Models, section 2.3 and appendix A.2: P(z[t+1] | a[t], z[t], h[t]), a diagonal mixture for
each latent dimension, here with two more linear heads, on the reward of a[t] and on whether the
episode terminates with it. One nn.LSTM serves whole sequences in training and single steps in
rollouts: a step is a sequence of length 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from wm.params import Params, Size

ACTION_SIZE = 3
LOG_2PI = math.log(2 * math.pi)
REWARD_FLOOR = -1.0
"""Rewards are learned clipped from below: CarRacing's -100 for leaving the playfield, which no
frame announces, would drown the tiles in the squared error; the done head predicts it."""

State = tuple[torch.Tensor, torch.Tensor]
"""h and c of the LSTM, float32 (B, H) each."""


class Mixture(NamedTuple):
    """K Gaussians for each of Z dimensions; float32 (B, T, K, Z) each."""

    logpi: torch.Tensor
    """Log weights; their exponentials sum to 1 over K."""
    mean: torch.Tensor
    logstd: torch.Tensor


class Prediction(NamedTuple):
    """What the memory expects of (z[t], a[t]), for every t."""

    mixture: Mixture
    """Of z[t + 1]."""
    reward: torch.Tensor
    """Of a[t], float32 (B, T), clipped at REWARD_FLOOR."""
    done_logit: torch.Tensor
    """That the episode terminates with a[t], float32 (B, T)."""


class MdnRnnConfig(Params):
    """The network's shape; the paper's values are 256 and 5."""

    hidden_size: Size
    mixtures: Size


class MDNRNN(nn.Module):
    """The network, for latents of size Z = `latent_size`."""

    def __init__(self, latent_size: int, config: MdnRnnConfig) -> None:
        super().__init__()
        hidden_size, mixtures = config.hidden_size, config.mixtures
        self.latent_size, self.hidden_size, self.mixtures = latent_size, hidden_size, mixtures
        self.lstm = nn.LSTM(latent_size + ACTION_SIZE, hidden_size, batch_first=True)
        self.mixture_head = nn.Linear(hidden_size, 3 * latent_size * mixtures)
        self.event_head = nn.Linear(hidden_size, 2)  # reward, done

    def begin(self, count: int, device: torch.device | None = None) -> State:
        """The state before the first step of `count` episodes: zeros."""
        zeros = torch.zeros(count, self.hidden_size, device=device)
        return zeros, zeros

    def advance(self, z: torch.Tensor, action: torch.Tensor, state: State) -> State:
        """The state after taking in z (B, Z) and action (B, 3); makes no prediction."""
        return self._lstm(z[:, None], action[:, None], state)[1]

    def predict(self, output: torch.Tensor) -> Prediction:
        """Reads the heads off the LSTM's output (B, T, H), or off h[:, None]."""
        batch, steps, _ = output.shape
        raw = self.mixture_head(output).float()
        # K before Z: sums over the few components then run along rows of Z, at vector speed
        logits, mean, logstd = raw.view(batch, steps, 3, self.mixtures, self.latent_size).unbind(2)
        events = self.event_head(output).float()
        mixture = Mixture(functional.log_softmax(logits, dim=2), mean, logstd)
        return Prediction(mixture, events[..., 0], events[..., 1])

    def sequence(
        self, z: torch.Tensor, action: torch.Tensor, state: State | None = None
    ) -> tuple[Prediction, State]:
        """Predictions for z (B, T, Z) and action (B, T, 3), and the state after the last step."""
        assert z.shape[:2] == action.shape[:2]
        assert z.shape[2] == self.latent_size
        output, state = self._lstm(z, action, state)
        return self.predict(output), state

    def _lstm(
        self, z: torch.Tensor, action: torch.Tensor, state: State | None
    ) -> tuple[torch.Tensor, State]:
        # nn.LSTM has a leading axis of layers, of which there is one
        before = None if state is None else (state[0][None], state[1][None])
        output, (h, c) = self.lstm(torch.cat([z, action], dim=-1), before)
        return output, (h[0], c[0])


def nll(mixture: Mixture, target: torch.Tensor) -> torch.Tensor:
    """-log p(target), in nats, summed over Z (equation of appendix A.2).

    `target` is (B, T, Z); returns (B, T).
    """
    batch, steps, _, latent_size = mixture.mean.shape
    assert target.shape == (batch, steps, latent_size), f"{target.shape} for {mixture.mean.shape}"
    standardised = (target[:, :, None] - mixture.mean) * torch.exp(-mixture.logstd)
    log_normal = -0.5 * (standardised**2 + LOG_2PI) - mixture.logstd
    return -torch.logsumexp(mixture.logpi + log_normal, dim=2).sum(dim=-1)


def expectation(mixture: Mixture) -> torch.Tensor:
    """The mean of the mixture, (B, T, Z): the prediction of least squared error."""
    return (mixture.logpi.exp() * mixture.mean).sum(dim=2)


def sample(mixture: Mixture, generator: torch.Generator, temperature: float = 1.0) -> torch.Tensor:
    """Draws z (B, T, Z). The temperature (> 0) divides the log weights and scales the variance
    (section 4.1)."""
    weights = functional.softmax(mixture.logpi / temperature, dim=2).transpose(2, 3)
    drawn = torch.multinomial(weights.flatten(0, 2), 1, generator=generator)
    component = drawn.view(weights.shape[:3])[:, :, None]
    mean = mixture.mean.gather(2, component)[:, :, 0]
    std = mixture.logstd.gather(2, component)[:, :, 0].exp() * temperature**0.5
    noise = torch.randn(mean.shape, generator=generator).to(mean.device)
    return mean + std * noise


class Batch(NamedTuple):
    """B windows of L steps; past an episode's end they repeat its last frame and are masked."""

    mu: torch.Tensor
    """Of frames t .. t + L, float32 (B, L + 1, Z)"""
    logvar: torch.Tensor
    """As mu."""
    action: torch.Tensor
    """float32 (B, L, 3)"""
    reward: torch.Tensor
    """float32 (B, L)"""
    done: torch.Tensor
    """Whether the step terminated the episode, float32 (B, L)"""
    mask: torch.Tensor
    """1 where the step exists, float32 (B, L)"""


def losses(
    model: MDNRNN, batch: Batch, noise: torch.Generator, autocast: torch.autocast
) -> dict[str, torch.Tensor]:
    """The three losses, means over the steps that exist, with z drawn anew from its posterior:
    `nll` (nats a dimension), `reward` (squared error), `done` (binary cross-entropy)."""
    epsilon = torch.randn(batch.mu.shape, generator=noise).to(batch.mu.device)
    z = batch.mu + torch.exp(0.5 * batch.logvar) * epsilon
    with autocast:
        prediction, _ = model.sequence(z[:, :-1], batch.action)
    reward = batch.reward.clamp(min=REWARD_FLOOR)
    steps = {
        "nll": nll(prediction.mixture, z[:, 1:]) / model.latent_size,
        "reward": (prediction.reward - reward) ** 2,
        "done": functional.binary_cross_entropy_with_logits(
            prediction.done_logit, batch.done, reduction="none"
        ),
    }
    count = batch.mask.sum()
    return {name: (loss * batch.mask).sum() / count for name, loss in steps.items()}


class MdnRnnLearner:
    """Adam on nll + reward + done, gradients clipped by value (the paper's code: at 1)."""

    def __init__(
        self, model: MDNRNN, learning_rate: float, clip: float, autocast: torch.autocast
    ) -> None:
        self.model = model
        self._clip = clip
        self._autocast = autocast
        self._optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)

    def step(self, batch: Batch, noise: torch.Generator) -> dict[str, torch.Tensor]:
        """One optimisation step; returns the losses."""
        logs = losses(self.model, batch, noise, self._autocast)
        self._optimizer.zero_grad(set_to_none=True)
        sum(logs.values(), torch.zeros(())).backward()
        nn.utils.clip_grad_value_(self.model.parameters(), self._clip)
        self._optimizer.step()
        return {name: loss.detach() for name, loss in logs.items()}

    def validate(self, batches: Iterator[Batch]) -> dict[str, float]:
        """The mean losses over `batches`, with noise that is the same every time."""
        noise = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            rows = [losses(self.model, batch, noise, self._autocast) for batch in batches]
        return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}

    def state_dict(self) -> dict[str, Any]:
        """Weights and Adam's moments."""
        return {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of state_dict."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
