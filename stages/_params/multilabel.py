"""The two labels of each digit."""

from typing import Annotated

from pydantic import Field

from stages._params.base import Digit, Folds, Positive, Section


class Multilabel(Section):
    """Section ``multilabel``."""

    large_from: Annotated[Digit, Field(ge=1)]
    n_neighbors: Positive
    folds: Folds
