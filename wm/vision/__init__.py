"""The vision models V."""
