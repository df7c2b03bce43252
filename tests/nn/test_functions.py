import pytest
import torch
from torch import nn
from torch.nn import functional

from wm.nn import functions

X = torch.linspace(-20, 20, 4001)


def test_exp_and_tanh_are_torchs_to_single_precision() -> None:
    wide = X.double()
    assert torch.allclose(functions.exp(X).double(), wide.exp(), rtol=3e-6, atol=0)
    assert torch.allclose(functions.tanh(X).double(), wide.tanh(), rtol=0, atol=2e-7)


def test_logsumexp_and_its_gradient_are_torchs() -> None:
    x = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0)) * 30
    ours, theirs = x.clone().requires_grad_(), x.double().requires_grad_()
    for dim in (0, 1, 2):
        got, expected = functions.logsumexp(ours, dim), torch.logsumexp(theirs, dim)
        assert torch.allclose(got.double(), expected, rtol=1e-6, atol=1e-5)
        (mine,) = torch.autograd.grad(got.square().sum(), ours)
        (its,) = torch.autograd.grad(expected.square().sum(), theirs)
        assert torch.allclose(mine.double(), its, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 7), (2, 7), (5, 7), (128, 7), (3, 64, 7), (1, 1, 7)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_and_its_gradients_are_torchs(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(7, 3, bias=bias)
    x = torch.randn(shape, requires_grad=True)
    got = functions.linear(x, layer.weight, layer.bias)
    expected = functional.linear(x, layer.weight, layer.bias)
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=1e-6)
    to = [x, *layer.parameters()]
    mine = torch.autograd.grad(got.square().sum(), to)
    its = torch.autograd.grad(expected.square().sum(), to)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(mine, its, strict=True))
