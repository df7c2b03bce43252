"""The vision models by name: each a package with `networks.py` and `learner.py`."""
