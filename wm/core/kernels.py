"""Fixes which kernels NumPy and torch compute with: before anything imports either.

Both choose by the processor's instructions, NumPy's BLAS by its name as well, and other kernels sum
in another order. CMA-ES and training turn other last bits into another controller. oneDNN's kernels
depend on the precision and are fixed by `wm.nn.compute.prepare`. What would have fewer threads
compute than were asked for, or no compiled code, is taken away.
"""

import os
import platform

FIXED = {"OPENBLAS_NUM_THREADS": "1"}
"""Environment variables and what they are set to."""
if platform.machine() in ("x86_64", "AMD64"):  # kernels of AVX2, which 2013's processors have
    FIXED |= {
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        # what NumPy is to leave out, where it is there
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    }


UNSET = (
    "NPY_ENABLE_CPU_FEATURES",  # NumPy takes this one or NPY_DISABLE_CPU_FEATURES
    # oneDNN cuts its work for as many threads as it asks for: with fewer it waits for ever, or
    # leaves out what they would have summed
    "OMP_THREAD_LIMIT",
    "OMP_DYNAMIC",
    "OMP_MAX_ACTIVE_LEVELS",
    "NUMBA_DISABLE_JIT",  # the renderers rely on what numba makes of integers, and on its speed
)
"""Environment variables that are taken away."""


def fix() -> None:
    """Sets and unsets the variables for this process and those that it starts."""
    for name in UNSET:
        os.environ.pop(name, None)
    os.environ.update(FIXED)
