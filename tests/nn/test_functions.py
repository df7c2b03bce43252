import os
import subprocess
import sys

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


@pytest.mark.parametrize("threads", [1, 2])
def test_no_product_in_float32_is_made_by_mkl(threads: int) -> None:
    # MKL says on stdout what it is asked for
    code = """
import sys
import torch
from wm.nn.functions import linear, exp, tanh, logsumexp
torch.set_num_threads(int(sys.argv[1]))
print("begin", flush=True)
for rows in (1, 2, 64, 4096):
    x, weight = torch.ones(rows, 35, requires_grad=True), torch.ones(480, 35, requires_grad=True)
    y = linear(x, weight, torch.ones(480))
    (logsumexp(tanh(exp(y)), 1)).sum().backward()
print("end", flush=True)
torch.ones(64, 64) @ torch.ones(64, 64)
"""
    env = os.environ | {"MKL_VERBOSE": "1"}
    command = [sys.executable, "-c", code, str(threads)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    ours, after = done.stdout.split("begin\n")[1].split("end\n")
    assert "MKL_VERBOSE" in after, "this MKL does not tell"
    assert ours == ""
