"""One thin script a stage: read params, load, call `wm`, save. Run as `python -m stages.<name>`."""

import wm.core.kernels  # noqa: F401  before a stage imports NumPy
