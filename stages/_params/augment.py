"""The shifts of the augmented training set, and its figure."""

from typing import Annotated

from pydantic import Field, Strict

from stages._params.base import Section, Seed, Several

# A shift of 28 pixels leaves nothing of an image.
Pixels = Annotated[int, Field(strict=True, ge=-27, le=27)]
Shift = Annotated[tuple[Pixels, Pixels], Strict(False)]


class Figure(Section):
    """Section ``augment.figure``."""

    image: Annotated[int, Field(ge=0)]
    pixels: Annotated[int, Field(ge=1, le=27)]


class Augment(Section):
    """Section ``augment``; a shift is (right, down) in pixels."""

    shifts: Several[Shift]
    seed: Seed
    figure: Figure
