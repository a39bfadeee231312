"""The confused pair of digits that is looked at."""

from typing import Annotated

from pydantic import AfterValidator, Field, Strict

from stages._params.base import Digit, Section


def _two_digits(pair: tuple[int, int]) -> tuple[int, int]:
    if pair[0] == pair[1]:
        raise ValueError("the two digits should differ")
    return pair


class Errors(Section):
    """Section ``errors``."""

    pair: Annotated[tuple[Digit, Digit], Strict(False), AfterValidator(_two_digits)]
    n_examples: Annotated[int, Field(ge=1, le=400)]
