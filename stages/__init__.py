"""One thin script a stage: read params, load, call `wm`, save. Run as `python -m stages.<name>`."""

from wm.core import kernels

kernels.fix()  # before anything imports NumPy
