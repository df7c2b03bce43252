"""What every network stands on: device and arithmetic, weights on disk, the posterior."""
