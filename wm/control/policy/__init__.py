"""The controller, the agent made of V, M and C, and worker processes that drive it."""
