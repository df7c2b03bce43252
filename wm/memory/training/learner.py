"""How the MDN-RNN learns (World Models, appendix A.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from wm.core.car_racing import REWARD_FLOOR
from wm.memory.networks.mdnrnn import MDNRNN
from wm.memory.networks.mixture import nll
from wm.memory.training.windows import Batch
from wm.nn.posterior import reparameterise


def losses(
    model: MDNRNN, batch: Batch, noise: torch.Generator, autocast: torch.autocast
) -> dict[str, torch.Tensor]:
    """Returns the three losses, means over the steps that exist, with z drawn anew from its
    posterior: `nll` (nats a dimension), `reward` (squared error), `done` (binary cross-entropy)."""
    epsilon = torch.randn(batch.mu.shape, generator=noise).to(batch.mu.device)
    z = reparameterise(batch.mu, batch.logvar, epsilon)
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
    """Trains an MDN-RNN by Adam on nll + reward + done, gradients clipped by value (the paper's
    code: at 1); implements wm.training.loop.Learner."""

    def __init__(
        self, model: MDNRNN, learning_rate: float, clip: float, autocast: torch.autocast
    ) -> None:
        self.model = model.train()  # in eval mode cuDNN has no gradient of an LSTM
        self._clip = clip
        self._autocast = autocast
        self._optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)

    def step(self, batch: Batch, noise: torch.Generator) -> dict[str, torch.Tensor]:
        """Takes one optimisation step; returns the losses."""
        logs = losses(self.model, batch, noise, self._autocast)
        self._optimizer.zero_grad(set_to_none=True)
        sum(logs.values(), torch.zeros(())).backward()
        nn.utils.clip_grad_value_(self.model.parameters(), self._clip)
        self._optimizer.step()
        return {name: loss.detach() for name, loss in logs.items()}

    def validate(self, batches: Iterator[Batch]) -> dict[str, float]:
        """Returns the mean losses over `batches`, with noise that is the same every time."""
        noise = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            rows = [losses(self.model, batch, noise, self._autocast) for batch in batches]
        return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}

    def state_dict(self) -> dict[str, Any]:
        """Returns weights and Adam's moments."""
        return {"model": self.model.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what state_dict returned."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
