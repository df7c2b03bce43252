"""What any vision model is measured by on held-out frames."""
