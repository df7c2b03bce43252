"""Fixes the kernels and threads of NumPy's BLAS; imported before anything imports NumPy.

OpenBLAS would choose its kernels by the processor and its threads by the number of cores. Both
change the last digits of a product, and CMA-ES turns other last digits into another controller.
"""

import os
import platform

if platform.machine() in ("x86_64", "AMD64"):
    os.environ["OPENBLAS_CORETYPE"] = "Haswell"  # any x86-64 with AVX2
os.environ["OPENBLAS_NUM_THREADS"] = "1"
