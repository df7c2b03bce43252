"""VAE-GAN against VAE as the vision model: runs over seeds, statistics and a report."""

from wm.core import kernels

kernels.fix()  # before anything imports NumPy
