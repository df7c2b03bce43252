"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Bad input or a bad environment: one line that names the file or key and says what to do."""

    def __str__(self) -> str:
        """One line, whatever a key or a path that it names has in it."""
        return " ".join(super().__str__().splitlines())
