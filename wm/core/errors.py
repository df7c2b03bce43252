"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Bad input or a bad environment: one line that names the file or key and says what to do."""

    def __str__(self) -> str:
        """Returns the message as one line, even where a key or a path in it holds line breaks."""
        return " ".join(super().__str__().splitlines())
