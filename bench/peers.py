"""What the others do: the usual PyTorch world model, fp32, NCHW, written straightforwardly."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

LATENT, HIDDEN = 32, 256


def resize(observation: np.ndarray) -> np.ndarray:
    return cv2.resize(observation[:84], (64, 64), interpolation=cv2.INTER_AREA)


def to_tensor(frames: np.ndarray) -> Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous().float() / 255


class UsualVae(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 32, 4, stride=2), nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2), nn.ReLU(),
            nn.Conv2d(64, 128, 4, stride=2), nn.ReLU(),
            nn.Conv2d(128, 256, 4, stride=2), nn.ReLU(),
            nn.Flatten(),
        )  # fmt: skip
        self.mu, self.logvar = nn.Linear(1024, LATENT), nn.Linear(1024, LATENT)
        self.first = nn.Linear(LATENT, 1024)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(1024, 128, 5, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 5, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 6, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(32, 3, 6, stride=2), nn.Sigmoid(),
        )  # fmt: skip

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(x)
        return self.mu(features), self.logvar(features)

    def loss(self, x: Tensor) -> Tensor:
        mu, logvar = self.encode(x)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        reconstruction = self.decoder(self.first(z).view(-1, 1024, 1, 1))
        kl = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum()
        return (F.mse_loss(reconstruction, x, reduction="sum") + kl) / len(x)


class UsualAgent:
    """Encoder, LSTM and linear controller for `count` episodes at once."""

    def __init__(self, count: int) -> None:
        self.vae = UsualVae().eval()
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
