"""The memory model M."""
