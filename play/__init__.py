"""Published models at the wheel: an official episode each, as a film or in a window."""

from wm.core import kernels

kernels.fix()  # before anything imports NumPy
