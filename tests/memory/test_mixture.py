"""The mixture density against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from torch import distributions

from wm.memory.networks.mixture import Mixture, expectation, nll, sample


def mixture(batch: int, steps: int, size: int = 3, components: int = 4) -> Mixture:
    generator = torch.Generator().manual_seed(batch * 100 + steps)
    raw = torch.randn(3, batch, steps, components, size, generator=generator)
    return Mixture(torch.log_softmax(raw[0], 2), raw[1], raw[2])


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 5), (4, 1), (4, 5)])
def test_nll_is_that_of_torch_distributions(batch: int, steps: int) -> None:
    params = mixture(batch, steps)
    target = torch.randn(batch, steps, 3, generator=torch.Generator().manual_seed(1))
    reference = distributions.MixtureSameFamily(
        distributions.Categorical(logits=params.logpi.mT),
        distributions.Normal(params.mean.mT, params.logstd.mT.exp()),
    )
    expected = -reference.log_prob(target).sum(-1)
    result = nll(params, target)
    assert result.shape == (batch, steps)
    torch.testing.assert_close(result, expected)


def test_nll_refuses_a_target_that_would_broadcast() -> None:
    with pytest.raises(AssertionError):
        nll(mixture(4, 5), torch.zeros(4, 1, 3))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_samples_have_the_mixtures_moments(temperature: float) -> None:
    one = mixture(1, 1)
    many = Mixture(*(part.expand(20_000, 1, -1, -1) for part in one))
    drawn = sample(many, torch.Generator().manual_seed(0), temperature)[:, 0]
    weights = torch.softmax(one.logpi[0, 0] / temperature, 0)
    mean = (weights * one.mean[0, 0]).sum(0)
    variance = one.logstd[0, 0].exp() ** 2 * temperature
    second = (weights * (variance + one.mean[0, 0] ** 2)).sum(0)
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.1, rtol=0.05)
    torch.testing.assert_close((drawn**2).mean(0), second, atol=0.3, rtol=0.1)


def test_the_expectation_is_the_mean_of_the_samples() -> None:
    one = mixture(1, 1)
    many = Mixture(*(part.expand(20_000, 1, -1, -1) for part in one))
    drawn = sample(many, torch.Generator().manual_seed(0), 1.0)
    torch.testing.assert_close(drawn.mean(0), expectation(one)[0], atol=0.1, rtol=0.05)


def test_what_is_random_is_drawn_on_the_generators_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's multinomial refuses a CPU's generator; the meta device stands in for the GPU."""
    elsewhere = Mixture(*(part.to("meta") for part in mixture(2, 3)))
    drawn_on = []

    def spy(function):
        def called(*args, generator, **options):
            result = function(*args, generator=generator, **options)
            assert result.device == generator.device
            drawn_on.append(function.__name__)
            return result

        return called

    monkeypatch.setattr(torch, "multinomial", spy(torch.multinomial))
    monkeypatch.setattr(torch, "randn", spy(torch.randn))
    moved = torch.Tensor.to

    def to(tensor, *args, **options):
        # nothing can be copied off the meta device: the weights stand in for themselves
        if tensor.is_meta and args == (torch.device("cpu"),):
            return torch.full(tensor.shape, 0.25)
        return moved(tensor, *args, **options)

    monkeypatch.setattr(torch.Tensor, "to", to)
    z = sample(elsewhere, torch.Generator().manual_seed(0), 1.0)
    assert z.is_meta
    assert z.shape == (2, 3, 3)
    assert drawn_on == ["multinomial", "randn"]
