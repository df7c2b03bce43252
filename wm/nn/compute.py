"""Where networks run and in what arithmetic; the one place that sets torch's global state."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from wm.core import processor
from wm.core.errors import UserError
from wm.core.params import SharedParams


@dataclass(frozen=True)
class Compute:
    """A device and the type that its matrix products are made in."""

    device: torch.device
    """The CPU or the GPU."""
    dtype: torch.dtype
    """torch.bfloat16 or torch.float32."""

    def autocast(self) -> torch.autocast:
        """Returns training's mixed precision: products in `dtype`, weights and sums in float32."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16
        )


def prepare(shared: SharedParams, threads: int) -> Compute:
    """Sets torch up to give the same bits twice; returns where and in what type to compute.

    `threads` is part of the result of a training stage (a sum's order depends on it), so it comes
    from params.yaml, never from the number of cores. Rollout workers take 1.
    Raises UserError for a GPU that is not there, and for arithmetic that this machine has not.
    """
    processor.demand(shared)
    dtype = torch.bfloat16 if shared.precision == "bf16" else torch.float32
    if shared.device == "cuda" and not torch.cuda.is_available():
        if torch.version.cuda is None:
            raise UserError(
                "params.yaml: device: cuda, but this torch is built for CPUs alone; set cpu, or "
                "unset PIP_EXTRA_INDEX_URL, delete .venv and run make again"
            )
        raise UserError("params.yaml: device: cuda, but torch sees no GPU here; set cpu")
    # read by oneDNN when it is first used in a process; AVX2's kernels sum alike wherever they run.
    # Beside a GPU the processor computes in fp32 alone
    if dtype == torch.float32 or shared.device == "cuda":
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    else:
        os.environ.pop("ONEDNN_MAX_CPU_ISA", None)
    # cuBLAS is deterministic only with a fixed workspace, read when it is first used
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.set_num_threads(threads)
    # as use_deterministic_algorithms(True), which would import the compiler: two seconds a process
    torch.set_deterministic_debug_mode("error")
    # would overwrite every fresh tensor, in case one is read before it is written; ours never are
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # fp32 means fp32: a GPU would make convolutions in TF32, with 10 bits for 23
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return Compute(torch.device(shared.device), dtype)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds torch's global generator, from which layers draw their first weights, for the block."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
