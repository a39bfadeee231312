"""Where MNIST comes from."""

from typing import Literal

from stages._params.base import Section


class Data(Section):
    """Section ``data``."""

    source: Literal["auto", "openml", "idx", "npm", "folder", "sample"]
