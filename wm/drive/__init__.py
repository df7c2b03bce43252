"""Stepping environments in lockstep, and what is recorded while they are driven."""
