"""Proof by trying: the same bytes under other circumstances, and after being killed anywhere."""
