"""The one way to tell a user of a mistake."""


class UserError(Exception):
    """A mistake that the user can mend. A command prints its one line, and exits with 1."""
