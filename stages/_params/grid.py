"""The grid searched over the neighbour graph."""

from typing import Literal

from stages._params.base import Folds, Positive, Section, Several


class Grid(Section):
    """Section ``grid``."""

    n_neighbors: Several[Positive]
    weights: Several[Literal["uniform", "distance"]]
    folds: Folds
