"""What the others do: the usual PyTorch world model, fp32, NCHW, written straightforwardly."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, Normal
from torch.nn import functional as F

LATENT, HIDDEN, MIXTURES = 32, 256, 5
CHANNELS = {"paper's": 32, "laptop's": 16}  # of the VAE, by scale
IDLE = (0.0, -1.0, -2.0)  # before tanh: little gas, so that an episode lasts


def resize(observation: np.ndarray) -> np.ndarray:
    return cv2.resize(observation[:84], (64, 64), interpolation=cv2.INTER_AREA)


def to_tensor(frames: np.ndarray) -> Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous().float() / 255


class UsualVae(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        c = channels
        self.encoder = nn.Sequential(
            nn.Conv2d(3, c, 4, stride=2), nn.ReLU(),
            nn.Conv2d(c, 2 * c, 4, stride=2), nn.ReLU(),
            nn.Conv2d(2 * c, 4 * c, 4, stride=2), nn.ReLU(),
            nn.Conv2d(4 * c, 8 * c, 4, stride=2), nn.ReLU(),
            nn.Flatten(),
        )  # fmt: skip
        self.mu, self.logvar = nn.Linear(32 * c, LATENT), nn.Linear(32 * c, LATENT)
        self.decode = nn.Sequential(
            nn.Linear(LATENT, 32 * c),
            nn.Unflatten(1, (32 * c, 1, 1)),
            nn.ConvTranspose2d(32 * c, 4 * c, 5, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(4 * c, 2 * c, 5, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(2 * c, c, 6, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(c, 3, 6, stride=2), nn.Sigmoid(),
        )  # fmt: skip

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(x)
        return self.mu(features), self.logvar(features)

    def loss(self, x: Tensor) -> Tensor:
        mu, logvar = self.encode(x)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        reconstruction = self.decode(z)
        kl = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum()
        return (F.mse_loss(reconstruction, x, reduction="sum") + kl) / len(x)


class UsualMemory(nn.Module):
    """LSTM, mixture head and its likelihood by torch.distributions; reward and done as ours."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(LATENT + 3, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 3 * LATENT * MIXTURES + 2)

    def loss(self, z: Tensor, action: Tensor, reward: Tensor, done: Tensor) -> Tensor:
        output = self.head(self.lstm(torch.cat([z[:, :-1], action], dim=-1))[0])
        logits, mean, logstd = output[..., :-2].unflatten(-1, (3, LATENT, MIXTURES)).unbind(-3)
        mixture = MixtureSameFamily(Categorical(logits=logits), Normal(mean, logstd.exp()))
        return (
            F.mse_loss(output[..., -2], reward)
            + F.binary_cross_entropy_with_logits(output[..., -1], done)
            - mixture.log_prob(z[:, 1:]).mean()
        )


class UsualAgent:
    """Encoder, LSTM and linear controller for `count` episodes at once."""

    def __init__(self, count: int, channels: int) -> None:
        self.vae = UsualVae(channels).eval()
        self.lstm = nn.LSTMCell(LATENT + 3, HIDDEN)
        self.controller = nn.Linear(LATENT + HIDDEN, 3)
        self.state = torch.zeros(count, HIDDEN), torch.zeros(count, HIDDEN)

    @torch.no_grad()
    def act(self, frames: np.ndarray) -> np.ndarray:
        mu, logvar = self.vae.encode(to_tensor(frames))
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        action = torch.tanh(self.controller(torch.cat([z, self.state[0]], dim=1)))
        action = torch.cat([action[:, :1], (action[:, 1:] + 1) / 2], dim=1)
        self.state = self.lstm(torch.cat([z, action], dim=1), self.state)
        return action.numpy()
