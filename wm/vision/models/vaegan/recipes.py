"""The recipes by which a VAE-GAN may learn: which loss reaches which network, and how strongly.

The sources' recipes stay as they are. Here `minimax` draws a mesh for the 5,000 steps that were
tried, `larsen` one for 13,000, and then the road. With a learned similarity that counts a thousand
times as much (`larsen`: for the decoder alone), both begin to draw the road within 5,000: that is
all that their `-similarity` changes. `anchored` is the default.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """Which loss reaches which network, and how strongly.

    With `relative` and `limit`, norms at the picture are measured by the squared error's gradient.
    Learned similarity takes a fixed share of it. The adversarial gradient is only held below one:
    scaled up, that of a discriminator that knows nothing yet is noise that it never recovers from.
    """

    fakes: tuple[Literal["reconstruction", "sample"], ...]
    """The pictures that the discriminator is shown beside real frames."""
    saturating: bool
    """Whether the decoder's adversarial loss is minus the discriminator's, or -log D(fake)."""
    rate: float
    """Learning rate of the encoder and the decoder."""
    discriminator_rate: float
    """Learning rate of the discriminator."""
    feature: tuple[float, float]
    """Weight of the learned similarity, for the encoder and for the decoder (the paper's gamma)."""
    adversarial: float
    """Weight of the adversarial loss, for the decoder."""
    pixel: float = 0.0
    """Weight of the squared error, for both."""
    kerb: float = 0.0
    """Weight added to the pixels of kerbs and car in the squared error."""
    kl: float = 1.0
    """Weight of the KL, for the encoder."""
    free_bits: float = 0.0
    """Nats a latent dimension that cost nothing."""
    moment: float = 0.0
    """Weight of the loss that holds the batch's z at mean 0 and deviation 1."""
    summed: bool = False
    """Whether learned similarity is summed over a frame's features, or averaged."""
    relative: bool = False
    """Whether weights of learned similarity are shares of the pixel gradient."""
    limit: float | None = None
    """The adversarial gradient's largest share of the pixel gradient."""
    decay: bool = False
    """Whether the learning rates fall to 0 by half a cosine."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """The optimiser of all three networks."""
    beta1: float = 0.9
    """Adam's first decay rate."""
    balance: float | None = None
    """Scales the discriminator's rate by sigmoid(balance * (a - b)), where of the first kind of
    fakes a is its loss for calling them fake and b its loss for calling them real."""


# Algorithm 1, with the optimiser of the paper's published code. There gamma is 1e-6 where prior
# samples alone are fakes, and 1e-5 where reconstructions are, too; here each of the two kinds
# reaches the decoder with a quarter (`losses.adversarial_loss`), which makes 1e-6 a gamma of 4e-6.
# Published code also leaves out updates of whichever side is ahead: not done here.
LARSEN = Recipe(
    fakes=("reconstruction", "sample"), saturating=True, rate=3e-4, discriminator_rate=3e-4,
    feature=(1, 1e-6), adversarial=1, summed=True, optimizer="rmsprop",
)  # fmt: skip
MINIMAX = Recipe(
    fakes=("reconstruction", "sample"), saturating=True, rate=1e-4, discriminator_rate=1e-4,
    feature=(1, 1), adversarial=1, kl=0.01, moment=0.1,
)  # fmt: skip
RECIPES = {
    "larsen": LARSEN,
    "larsen-similarity": replace(LARSEN, feature=(1, 1e-3)),
    "minimax": MINIMAX,
    "minimax-similarity": replace(MINIMAX, feature=(1000, 1000)),
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
