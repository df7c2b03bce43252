"""VAE-GAN against VAE as the vision model: runs over seeds, statistics and a report."""

import wm.core.kernels  # noqa: F401  as in a stage, before anything imports NumPy
