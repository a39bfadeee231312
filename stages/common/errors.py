"""The one way to tell a user of a mistake."""

import os
import sys
from typing import NoReturn


class UserError(Exception):
    """A mistake that the user can mend. A command prints its one line, and exits with 1."""


def end(message: str, status: int) -> NoReturn:
    """End at once: threads that still fit a model would be waited for."""
    print(message, end="\n" if message else "", file=sys.stderr, flush=True)
    os._exit(status)
