"""Evolving the controller: optimisers, fitness, the loop."""
