"""The noise, and what cleans it."""

from typing import Annotated

from pydantic import Field

from stages._params.base import Positive, Section, Seed


class Denoise(Section):
    """Section ``denoise``."""

    high: Annotated[int, Field(ge=1, le=256)]
    seed: Seed
    n_neighbors: Positive
    n_digits: Annotated[int, Field(ge=1, le=50)]
