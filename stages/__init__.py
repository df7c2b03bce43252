"""One thin script a stage: read params, load, call `wm`, save. Run as `python -m stages.<name>`."""

import wm.core.blas  # noqa: F401  before a stage imports NumPy
