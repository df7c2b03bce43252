"""Every primitive that the pipeline uses, on fixed inputs, as hashes to compare between processors.

`python -m verify --only arithmetic` runs them here as stages compute in fp32, and compares them
with the files in verify/arithmetic, one a kind of processor; a kind without a file gets one. Inputs
come from integers alone, so that they are the same everywhere. Beside them stand functions of
torch's own that the pipeline does without, because they differ between makers.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.image import structural_similarity_index_measure

from wm.core import artifacts, processor
from wm.core.params import SharedParams
from wm.memory.networks.mdnrnn import MDNRNN, MdnRnnConfig
from wm.memory.training.learner import MdnRnnLearner
from wm.memory.training.windows import Batch
from wm.nn import functions
from wm.nn.compute import prepare, seeded
from wm.vision.models.vae import networks as vae
from wm.vision.models.vae.learner import VaeLearner
from wm.vision.models.vaegan import networks as vaegan
from wm.vision.models.vaegan.learner import VaeganLearner
from wm.vision.models.vaegan.recipes import RECIPES
from wm.vision.networks.convolutions import ToFrame, Transposed
from wm.vision.networks.trained import Vision
from wm.vision.training.schedule import Schedule

FILES = Path(__file__).parent / "arithmetic"
TORCHS_OWN = "torch's own "
"""Beginning of the names of what the pipeline does not use, because it differs between makers."""


def uniform(*shape: int, salt: int = 0, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Returns float32 numbers in [low, high): multiples of 2**-20 of an integer generator."""
    x = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(salt * 7919 + 1)
    x = x * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    x ^= x >> np.uint64(33)
    x = (x * np.uint64(0xFF51AFD7ED558CCD)) >> np.uint64(44)  # 20 bits
    y = x.astype(np.float64) / 2**20 * (high - low) + low
    return torch.from_numpy(y.astype(np.float32).reshape(shape))


def digest(values: Any) -> str:
    """Returns a short hash of the bytes of arrays or tensors."""
    found = hashlib.sha256()
    for value in values if isinstance(values, list | tuple) else [values]:
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:12]


def with_gradients(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """Returns what a function makes of the inputs, and the gradients of its sum of squares."""
    leaves = [x.detach().clone(memory_format=torch.preserve_format) for x in inputs]
    output = function(*(leaf.requires_grad_() for leaf in leaves))
    return [output, *torch.autograd.grad(output.square().sum(), leaves)]


def layer(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Returns a layer's output and gradients, its weights being set to what does not depend on a
    random generator."""
    with torch.no_grad():
        for number, weight in enumerate(module.parameters()):
            weight.copy_(uniform(*weight.shape, salt=number + 50) / 8)
    x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
    x = x.requires_grad_()
    output = module(x)
    output = output[0] if isinstance(output, tuple) else output
    gradients = torch.autograd.grad(output.square().sum(), [x, *module.parameters()])
    return [output, *gradients]


def elementwise() -> Iterator[tuple[str, Any]]:
    """Yields functions of single numbers, and sums."""
    x, p = uniform(1 << 20, low=-12, high=12), uniform(1 << 20, salt=1, low=1e-6, high=40)
    rows = x[:1000000].view(-1, 5)
    yield "exp", functions.exp(x)
    yield "tanh", functions.tanh(x)
    yield "logsumexp", functions.logsumexp(rows, 1)
    for name in ("exp2", "sigmoid", "expm1"):
        yield name, getattr(torch, name)(x)
    for name in ("log1p", "rsqrt", "reciprocal"):
        yield name, getattr(torch, name)(p)
    yield "softplus", functional.softplus(x)
    yield "log_softmax", functional.log_softmax(rows, 1)
    yield "softmax", functional.softmax(rows, 1)
    yield "sum", [x.sum(), x.view(1024, 1024).mean(0), x.view(1024, 1024).sum(1), x.norm()]
    for name in ("exp", "tanh"):
        yield f"{TORCHS_OWN}{name}", getattr(torch, name)(x)
    for name in ("log", "sqrt"):
        yield f"{TORCHS_OWN}{name}", getattr(torch, name)(p)
    generator = torch.Generator().manual_seed(1)
    yield "randn", torch.randn(100000, generator=generator)
    weights = uniform(1000, 5, salt=3, low=0.1)
    yield "multinomial", torch.multinomial(weights, 1, generator=generator)


def layers() -> Iterator[tuple[str, Any]]:
    """Yields layers, forward and backward."""
    for rows, inputs, outputs in ((1, 32, 512), (64, 512, 64), (64, 512, 1600), (4096, 256, 480)):
        arguments = (uniform(rows, inputs), uniform(outputs, inputs, salt=2) / 8, uniform(outputs))
        name = f"linear {rows}x{inputs}x{outputs}"
        yield name, with_gradients(functions.linear, *arguments)
        yield f"{TORCHS_OWN}{name}", with_gradients(functional.linear, *arguments)
    for inputs, outputs, kernel, stride, size in (
        (3, 16, 4, 2, 64), (16, 32, 4, 2, 31), (32, 64, 4, 2, 14), (64, 128, 4, 2, 6),
        (3, 16, 5, 2, 64), (32, 32, 5, 1, 16),
    ):  # fmt: skip
        convolution = nn.Conv2d(inputs, outputs, kernel, stride)
        name = f"convolution {inputs}-{outputs}, kernel {kernel}"
        yield name, layer(convolution, uniform(64, inputs, size, size))
    for inputs, outputs, kernel, size in ((64, 32, 5, 5), (32, 16, 6, 13)):
        transposed = Transposed(inputs, outputs, kernel, 2)
        name = f"transposed {inputs}-{outputs}, kernel {kernel}"
        yield name, layer(transposed, uniform(64, inputs, size, size))
    yield "to a frame", layer(ToFrame(16, 3, 6, 2), uniform(64, 16, 30, 30))
    for steps in (1, 64):
        yield (
            f"LSTM, {steps} steps",
            layer(nn.LSTM(35, 256, batch_first=True), uniform(64, steps, 35)),
        )
    ssim = structural_similarity_index_measure
    yield "SSIM", ssim(uniform(8, 3, 64, 64), uniform(8, 3, 64, 64, salt=1), data_range=2.0)
    yield "BatchNorm", layer(nn.BatchNorm2d(32), uniform(64, 32, 16, 16))
    yield "GroupNorm", layer(nn.GroupNorm(4, 32), uniform(64, 32, 16, 16))
    weight = nn.Parameter(uniform(100000, salt=50))
    adam = torch.optim.Adam([weight], lr=1e-3, fused=True)
    for step in range(20):
        weight.grad = uniform(100000, salt=51 + step)
        adam.step()
    yield "Adam", weight


def numpys() -> Iterator[tuple[str, Any]]:
    """Yields what NumPy and OpenCV compute."""
    for kind in (np.float32, np.float64):
        x: Any = uniform(40000, low=-12, high=12).numpy().astype(kind)
        p: Any = uniform(40000, salt=1, low=1e-6, high=40).numpy().astype(kind)
        m, tag = x.reshape(200, 200), f"NumPy {np.dtype(kind).name} "
        for name in ("exp", "tanh", "sin", "cos", "arctan"):
            yield tag + name, getattr(np, name)(x)
        yield tag + "log", np.log(p)
        yield tag + "hypot, arctan2, power", [np.hypot(x, p), np.arctan2(x, p), p**0.3]
        yield tag + "sum, mean, std", [m.sum(0), m.sum(1), m.mean(1), m.std(1), x.sum()]
        yield tag + "product", m @ m.T
        yield tag + "solve", np.linalg.solve(m, m[:, :10])
        yield tag + "lstsq", np.linalg.lstsq(m[:, :50], p[:200], rcond=None)[0]
        yield tag + "eigh", list(np.linalg.eigh(m @ m.T))
    picture = (uniform(960, 960, 4, salt=90, low=0, high=255).numpy()).astype(np.uint8)
    view = np.array([[1.25, -0.5, 300.3], [0.5, 1.25, 200.7]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    yield "OpenCV warpAffine", cv2.warpAffine(picture, view, (64, 64), flags=flags)
    yield "OpenCV resize", cv2.resize(picture[:84, :96], (64, 64), interpolation=cv2.INTER_AREA)


def trainings() -> Iterator[tuple[str, Any]]:
    """Yields weights after a few steps of each model, and latents."""
    compute = prepare(
        SharedParams(vision="vae", scale="laptop", seed=0, precision="fp32", threads=2), threads=2
    )

    def noise() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    def frames(salt: int) -> Tensor:
        x = uniform(64, 3, 64, 64, salt=salt, low=0.0)
        return x.contiguous(memory_format=torch.channels_last)

    learner = VaeLearner(vae.Config(channels=16), compute, Schedule(2e-3, 10**6, False), seed=0)
    for step in range(30):
        learner.step(frames(step), noise())
    yield "VAE, 30 steps", list(learner.model.state_dict().values())
    pictures = (frames(5).permute(0, 2, 3, 1) * 255).to(torch.uint8).numpy()
    yield "latents", list(Vision(learner.model, 32, compute).encode(pictures))
    gan = VaeganLearner(
        vaegan.Config(channels=16, depth=4), compute, RECIPES["anchored"],
        steps=100, warmup=2, seed=0,
    )  # fmt: skip
    for step in range(8):
        gan.step(frames(step), noise())
    yield "VAE-GAN, 8 steps", list(gan.model.state_dict().values())
    with seeded(0):
        memory = MDNRNN(32, MdnRnnConfig(hidden_size=256, mixtures=5))
    remembering = MdnRnnLearner(memory, 1e-3, 1.0, compute.autocast())
    ones = torch.ones(64, 64)
    for step in range(12):
        mu, logvar = uniform(64, 65, 32, salt=step), uniform(64, 65, 32, salt=step + 1) - 2
        batch = Batch(mu, logvar, uniform(64, 64, 3, salt=step + 2), ones, ones * 0, ones)
        remembering.step(batch, noise())
    yield "MDN-RNN, 12 steps", list(memory.state_dict().values())


def main() -> None:
    """Prints the hashes, name -> hash, as JSON."""
    # the first sets torch up
    parts = (trainings, elementwise, layers, numpys)
    print(json.dumps({name: digest(values) for part in parts for name, values in part()}))


def rows() -> Iterator[dict[str, Any]]:
    """Runs the primitives and yields a row for each file, with the versions that it was made with
    where these are others; writes this kind of processor's, if there is none and nothing differs.
    Delete the files after a change to the primitives."""
    # in a process of its own, as libraries read their environment when they are loaded
    command = [sys.executable, "-c", "import stages; from verify import primitives as p; p.main()"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    hashes = json.loads(done.stdout.splitlines()[-1])
    differed = False
    here = {"processor": processor.name(), "torch": torch.__version__, "numpy": np.__version__}
    name = re.sub(r"[^a-z0-9]+", "-", here["processor"].lower())
    for file in sorted(FILES.glob("*.json")):
        there: Any = artifacts.read_json(file)
        both = [key for key in hashes if key in there["hashes"]]
        differing = [key for key in both if hashes[key] != there["hashes"][key]]
        used = [key for key in differing if not key.startswith(TORCHS_OWN)]
        differed = differed or bool(used)
        yield {
            "against": there["processor"],
            **{name: there[name] for name in ("torch", "numpy") if there[name] != here[name]},
            "compared": sum(not key.startswith(TORCHS_OWN) for key in both),
            "different": len(used),
            "which": ", ".join(used),
            "torchs_own": sum(key.startswith(TORCHS_OWN) for key in both),
            "torchs_own_different": len(differing) - len(used),
        }
    if not differed and not (FILES / f"{name}.json").exists():
        artifacts.write_json(FILES / f"{name}.json", here | {"hashes": hashes})
