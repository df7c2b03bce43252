"""Speed, side by side with others."""

import wm.core.kernels  # noqa: F401  as in a stage, before anything imports NumPy
