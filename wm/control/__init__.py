"""The controller C, and the page on which a person drives in its place."""
