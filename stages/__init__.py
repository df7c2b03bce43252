"""One thin script a stage: read params, load, call `wm`, save. Run as `python -m stages.<name>`."""

import os
import platform

# Before anything imports NumPy or torch, whose kernels are chosen by the processor, and OpenBLAS'
# threads by the cores: other last digits, of which CMA-ES in the end makes another controller.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ["OPENBLAS_CORETYPE"] = "Haswell"  # any x86-64 with AVX2
    # AMX, which some Intel processors have, trains up to twice as fast and sums in another order
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_BF16"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
