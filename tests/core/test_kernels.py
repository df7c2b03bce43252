"""Variables of the environment that would have torch compute otherwise, or not at all."""

import os
import subprocess
import sys

import pytest

from verify.workspace import ROOT
from wm.core import kernels

CODE = """
import stages  # as every stage starts
import hashlib

import torch

torch.set_num_threads(2)
torch.manual_seed(0)
layer = torch.nn.Conv2d(3, 32, 4, stride=2)
layer(torch.rand(16, 3, 64, 64)).square().mean().backward()
print(hashlib.sha256(layer.weight.grad.numpy().tobytes()).hexdigest())
"""


def gradient(**changed: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(
        command, cwd=ROOT, env=env | changed, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_what_the_variables_say_reaches_no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in kernels.UNSET:
        monkeypatch.setenv(name, "1")
    for name in kernels.FIXED:
        monkeypatch.setenv(name, "other")
    kernels.fix()
    assert not set(kernels.UNSET) & set(os.environ)
    assert {name: os.environ[name] for name in kernels.FIXED} == kernels.FIXED


@pytest.fixture(scope="module")
def expected() -> str:
    return gradient()


@pytest.mark.parametrize(
    "changed",
    [{"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"}, {"OMP_MAX_ACTIVE_LEVELS": "0"}],
    ids=lambda changed: next(iter(changed)),
)
def test_fewer_threads_than_torch_asks_for_change_no_gradient(
    changed: dict[str, str], expected: str
) -> None:
    """oneDNN cuts its work for the threads that it asks for; what none of them got is left out."""
    assert gradient(**changed) == expected
