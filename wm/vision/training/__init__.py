"""What training any vision model shares: losses, batches, the way to weights on disk."""
