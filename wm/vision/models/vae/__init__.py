"""The VAE of the paper."""
