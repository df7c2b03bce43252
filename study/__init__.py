"""VAE-GAN against VAE as the vision model: runs over seeds, statistics and a report."""
