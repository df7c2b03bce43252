"""The supervised training loop."""
