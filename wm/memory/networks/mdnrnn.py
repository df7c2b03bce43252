"""The memory M: an LSTM whose output is a mixture of Gaussians over the next latent.

World Models, section 2.2 and appendix A.2: P(z[t+1] | a[t], z[t], h[t]), a diagonal mixture for
each latent dimension, here with two more linear heads, on the reward of a[t] and on whether the
episode terminates with it. One nn.LSTM serves whole sequences in training and single steps in
rollouts: a step is a sequence of length 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from wm.core.car_racing import ACTION_SIZE
from wm.core.params import Params, Size
from wm.memory.networks.mixture import Mixture
from wm.nn.functions import Linear

State = tuple[torch.Tensor, torch.Tensor]
"""h and c of the LSTM, float32 (B, H) each."""


class Prediction(NamedTuple):
    """What the memory expects of (z[t], a[t]), for every t."""

    mixture: Mixture
    """The distribution of z[t + 1]."""
    reward: torch.Tensor
    """The reward of a[t], clipped at REWARD_FLOOR, float32 (B, T)."""
    done_logit: torch.Tensor
    """The logit that the episode terminates with a[t], float32 (B, T)."""


class MdnRnnConfig(Params):
    """The network's shape; the paper's values are 256 and 5."""

    hidden_size: Size
    """Units H of the LSTM."""
    mixtures: Size
    """Gaussians K for each latent dimension."""


class MDNRNN(nn.Module):
    """The MDN-RNN for latents of size Z = `latent_size`."""

    def __init__(self, latent_size: int, config: MdnRnnConfig) -> None:
        super().__init__()
        hidden_size, mixtures = config.hidden_size, config.mixtures
        self.latent_size, self.hidden_size, self.mixtures = latent_size, hidden_size, mixtures
        self.lstm = nn.LSTM(latent_size + ACTION_SIZE, hidden_size, batch_first=True)
        self.mixture_head = Linear(hidden_size, 3 * latent_size * mixtures)
        self.event_head = Linear(hidden_size, 2)  # reward, done

    def begin(self, count: int, device: torch.device | None = None) -> State:
        """Returns the state before the first step of `count` episodes: zeros."""
        zeros = torch.zeros(count, self.hidden_size, device=device)
        return zeros, zeros

    def advance(self, z: torch.Tensor, action: torch.Tensor, state: State) -> State:
        """Returns the state after taking in z (B, Z) and action (B, 3); makes no prediction."""
        return self.states(z[:, None], action[:, None], state)[1]

    def states(
        self, z: torch.Tensor, action: torch.Tensor, state: State | None = None
    ) -> tuple[torch.Tensor, State]:
        """Returns h after each step of z (B, T, Z) and action (B, T, 3), float32 (B, T, H), and the
        state after the last, which is the one before where T is 0; makes no prediction. Without
        `state` it starts from zeros."""
        if not z.shape[1]:
            nothing = z.new_empty(len(z), 0, self.hidden_size)
            return nothing, self.begin(len(z), z.device) if state is None else state
        # nn.LSTM has a leading axis of layers, of which there is one
        before = None if state is None else (state[0][None], state[1][None])
        output, (h, c) = self.lstm(torch.cat([z, action], dim=-1), before)
        return output, (h[0], c[0])

    def predict(self, output: torch.Tensor) -> Prediction:
        """Returns what the heads make of the LSTM's output (B, T, H), or of h[:, None]."""
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
        """Returns predictions for z (B, T, Z) and action (B, T, 3), and the state after the last
        step. Without `state` it starts from zeros."""
        assert z.shape[:2] == action.shape[:2]
        assert z.shape[2] == self.latent_size
        output, state = self.states(z, action, state)
        return self.predict(output), state
