"""One thin script a stage: read params, load, call `wm`, save. Run as `python -m stages.<name>`."""

import os
import platform

# Before anything imports NumPy, whose BLAS would choose its kernels by the processor and its
# threads by the cores: other last digits, of which CMA-ES in the end makes another controller.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ["OPENBLAS_CORETYPE"] = "Haswell"  # any x86-64 with AVX2
os.environ["OPENBLAS_NUM_THREADS"] = "1"
