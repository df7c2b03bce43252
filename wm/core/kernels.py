"""Fixes which kernels NumPy and torch compute with; imported before anything imports either.

Both choose by the processor's instructions, NumPy's BLAS by its name as well, and other kernels sum
in another order. CMA-ES and training turn other last bits into another controller. oneDNN's kernels
depend on the precision and are fixed by `wm.nn.compute.prepare`.
"""

import os
import platform

if platform.machine() in ("x86_64", "AMD64"):  # those of AVX2, which 2013's processors have
    os.environ["OPENBLAS_CORETYPE"] = "Haswell"
    os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
    # what NumPy is to leave out, where it is there; it takes one of the two variables
    os.environ.pop("NPY_ENABLE_CPU_FEATURES", None)
    os.environ["NPY_DISABLE_CPU_FEATURES"] = "X86_V4 AVX512_ICL AVX512_SPR"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
