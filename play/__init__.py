"""Published models at the wheel, or you: an official episode each, as a film or in a window."""

import os

from wm.core import kernels

kernels.fix()  # before anything imports NumPy
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it greets on standard output
