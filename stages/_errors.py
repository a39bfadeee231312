"""The one way a stage tells its user of a mistake."""


class UserError(SystemExit):
    """A mistake the user can mend: Python prints its one line and exits with 1."""
