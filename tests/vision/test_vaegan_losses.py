"""The losses of the discriminator and those that it has for the decoder and the encoder."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from wm.vision.models.vaegan.losses import (
    adversarial_loss,
    discriminator_loss,
    moment_loss,
    similarity_loss,
)


def test_losses_of_the_discriminator_and_the_decoder() -> None:
    real, fakes = torch.tensor([[2.0]]), [torch.tensor([[-1.0]]), torch.tensor([[0.5]])]
    ones, zeros = torch.ones(1, 1), torch.zeros(1, 1)
    entropy = F.binary_cross_entropy_with_logits
    parts = [entropy(real, ones), entropy(fakes[0], zeros), entropy(fakes[1], zeros)]
    expected = 0.5 * parts[0] + 0.25 * parts[1] + 0.25 * parts[2]
    torch.testing.assert_close(discriminator_loss(real, fakes), expected)
    torch.testing.assert_close(adversarial_loss(fakes, saturating=True), 0.5 * parts[0] - expected)
    fooled = 0.5 * (entropy(fakes[0], ones) + entropy(fakes[1], ones))
    torch.testing.assert_close(adversarial_loss(fakes, saturating=False), fooled)


@pytest.mark.parametrize("saturating", [True, False])
def test_the_decoders_loss_falls_when_its_pictures_are_taken_for_real(saturating: bool) -> None:
    logit = torch.zeros(3, 1, requires_grad=True)
    (gradient,) = torch.autograd.grad(adversarial_loss([logit], saturating), logit)
    assert bool((gradient < 0).all())  # descent raises the logit


def test_moment_loss_is_least_for_a_standard_normal() -> None:
    z = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0))
    assert moment_loss(z).item() < 1e-2
    assert moment_loss(z + 1).item() == pytest.approx(1, abs=0.1)
    assert moment_loss(3 * z).item() == pytest.approx(4, abs=0.2)


def test_the_similarity_loss_is_half_the_squared_distance_of_features() -> None:
    target, features = torch.zeros(2, 4, 3, 3), torch.full((2, 4, 3, 3), 3.0)
    assert similarity_loss(target, features, summed=True).item() == pytest.approx(4.5 * 36)
    assert similarity_loss(target, features, summed=False).item() == pytest.approx(4.5)
