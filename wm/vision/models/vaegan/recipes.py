"""The recipes by which a VAE-GAN may learn: which loss reaches which network, and how strongly.

The sources' recipes stay as they are; `anchored`, the default, is the one that trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """Which loss reaches which network, and how strongly.

    With `relative` and `limit`, norms at the picture are measured by the squared error's gradient.
    Learned similarity takes a fixed share of it. The adversarial gradient is only held below one:
    scaled up, that of a discriminator that knows nothing yet is noise that it never recovers from.
    """

    fakes: tuple[Literal["reconstruction", "sample"], ...]  # what the discriminator is shown
    saturating: bool  # the decoder's adversarial loss: minus the discriminator's, or -log D(fake)
    rate: float  # of the encoder and the decoder
    discriminator_rate: float
    feature: tuple[float, float]  # learned similarity, for the encoder and for the decoder (gamma)
    adversarial: float
    pixel: float = 0.0  # squared error, for both
    kerb: float = 0.0  # added weight of a kerb's pixels in it
    kl: float = 1.0
    free_bits: float = 0.0  # nats a latent dimension that cost nothing
    moment: float = 0.0  # the batch's z held at mean 0 and deviation 1
    summed: bool = False  # learned similarity summed over a frame's features, not averaged
    relative: bool = False  # weights of learned similarity are shares of the pixel gradient
    limit: float | None = None  # the adversarial gradient's largest share of it
    decay: bool = False  # half a cosine for the rates, or constant
    optimizer: Literal["adam", "rmsprop"] = "adam"
    beta1: float = 0.9
    balance: float | None = None  # the discriminator's rate times sigmoid(balance * (fake - gen))


RECIPES = {
    # Algorithm 1, with the optimiser and the gamma of the paper's published code
    "larsen": Recipe(
        fakes=("reconstruction", "sample"), saturating=True, rate=3e-4, discriminator_rate=3e-4,
        feature=(1, 1e-6), adversarial=1, summed=True, optimizer="rmsprop",
    ),
    "minimax": Recipe(
        fakes=("reconstruction", "sample"), saturating=True, rate=1e-4, discriminator_rate=1e-4,
        feature=(1, 1), adversarial=1, kl=0.01, moment=0.1,
    ),
    "balanced": Recipe(
        fakes=("sample",), saturating=False, rate=1e-3, discriminator_rate=1e-4,
        feature=(1000, 1000), adversarial=1, beta1=0.5, balance=10,
    ),
    "anchored": Recipe(
        fakes=("reconstruction",), saturating=False, rate=2e-3, discriminator_rate=2e-4,
        feature=(0.5, 0.5), adversarial=5, pixel=1, kerb=4, kl=0.1, free_bits=0.5, relative=True,
        limit=0.5, decay=True,
    ),
}  # fmt: skip
