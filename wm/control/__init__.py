"""The controller C."""
