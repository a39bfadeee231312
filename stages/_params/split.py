"""How the images are split."""

from stages._params.base import Positive, Section


class Split(Section):
    """Section ``split``."""

    n_train: Positive
