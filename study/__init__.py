"""The verdict: is a VAE-GAN a better eye than a VAE? Runs over seeds, statistics and a report."""
