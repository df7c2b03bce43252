"""Collecting episodes before any model exists."""
