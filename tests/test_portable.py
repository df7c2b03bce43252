"""That no float32 result depends on the processor's maker: nothing is computed by MKL, which takes
another way on another maker's processor (products), or has other functions there (exp, tanh)."""

import os
import subprocess
import sys

import pytest

FORBIDDEN = (
    *(
        "exp",
        "exp_",
        "tanh",
        "tanh_",
        "log",
        "log_",
        "log2",
        "log10",
        "sqrt",
        "sqrt_",
        "sin",
        "cos",
    ),
    *("erf", "logsumexp", "mm", "addmm", "bmm", "baddbmm"),
)
"""aten's operators whose float32 kernels on a CPU are MKL's."""
CODE = """
import sys

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from wm.control.policy.controller import Controllers
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.memory.training.learner import MdnRnnLearner
from wm.memory.training.windows import Batch
from wm.nn.compute import Compute
from wm.nn.functions import exp, linear, logsumexp, tanh
from wm.vision.models.vae import networks as vae
from wm.vision.models.vae.learner import VaeLearner
from wm.vision.models.vaegan import networks as vaegan
from wm.vision.models.vaegan.learner import VaeganLearner
from wm.vision.models.vaegan.recipes import RECIPES
from wm.vision.networks.trained import Autoencoder, Vision
from wm.vision.training.schedule import Schedule

threads, *forbidden = sys.argv[1:]
torch.set_num_threads(int(threads))


class Refuse(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = function.__name__.split(".")[0]
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        if name in forbidden and any(t.dtype == torch.float32 for t in tensors):
            print("forbidden:", name, [tuple(t.shape) for t in tensors], flush=True)
        return function(*arguments, **(keywords or {}))


def noise():
    return torch.Generator().manual_seed(0)


compute = Compute(torch.device("cpu"), torch.float32)
x = torch.rand(16, 3, 64, 64).contiguous(memory_format=torch.channels_last)
z = torch.randn(2, 8, 16, 33, 32)
steps = torch.ones(16, 32)
batch = Batch(z[0, 0], z[1, 0], torch.rand(16, 32, 3), steps, steps * 0, steps)
learner = VaeLearner(vae.Config(channels=16), compute, Schedule(1e-3, 9, False), seed=0)
gans = [
    VaeganLearner(
        vaegan.Config(channels=16, depth=4, networks=networks, heads="tanh"),
        compute,
        RECIPES[recipe],
        steps=9,
        warmup=0,
        seed=0,
    )
    for networks in ("vae", "seed")
    for recipe in RECIPES
    if RECIPES[recipe].optimizer == "adam"  # torch's RMSprop takes MKL's square root
]
memory = MDNRNN(32, MdnRnnConfig(hidden_size=256, mixtures=5))
remembering = MdnRnnLearner(memory, 1e-3, 1.0, compute.autocast())
visions = [Vision(model, 32, compute) for model in (learner.model, gans[-1].model)]
print("begin", flush=True)
with Refuse():
    learner.step(x, noise())
    for gan in gans:
        gan.step(x, noise())
    remembering.step(batch, noise())
    for count in (1, 3, 64):
        frames = np.zeros((count, 64, 64, 3), np.uint8)
        for vision in visions:
            mu, _ = vision.encode(frames)
            vision.decode(mu)
        state = memory.advance(mu, torch.zeros(count, 3), memory.begin(count))
        memory.predict(state[0][:, None])
        Controllers(torch.randn(count, 867), 288, 0).act(torch.cat([mu, state[0]], 1))
    for rows in (1, 2, 64, 4096):
        weight = torch.ones(480, 35, requires_grad=True)
        y = linear(torch.ones(rows, 35, requires_grad=True), weight, torch.ones(480))
        logsumexp(tanh(exp(y)), 1).sum().backward()
print("end", flush=True)
torch.ones(64, 64) @ torch.ones(64, 64)
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_in_float32_is_computed_by_mkl(threads: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(threads), *FORBIDDEN],
        env=os.environ | {"MKL_VERBOSE": "1"},  # it tells on stdout which products it makes
        capture_output=True,
        text=True,
        check=True,
    )
    ours, after = done.stdout.split("begin\n")[1].split("end\n")
    if "MKL_VERBOSE" not in after:
        pytest.skip("this torch has no MKL")
    assert ours == ""
