"""The detector that always says the same."""

from stages._params.base import Section


class Never(Section):
    """Section ``never``."""

    answer: bool
