"""Speed, side by side with others."""

from wm.core import kernels

kernels.fix()  # before anything imports NumPy
