"""The VAE-GAN (Larsen et al. 2016)."""
