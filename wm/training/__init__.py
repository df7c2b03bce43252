"""The training loop of all models."""
