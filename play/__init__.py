"""Published models at the wheel: an official episode each, as a film or in a window."""

import wm.core.kernels  # noqa: F401  before anything imports NumPy
