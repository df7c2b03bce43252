"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Bad input or a bad environment: one line that names the file or key and says what to do."""
