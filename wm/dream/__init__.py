"""The memory model as an environment."""
