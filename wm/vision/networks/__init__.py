"""What runs wherever a trained vision model runs: layers, shared networks, loading."""
