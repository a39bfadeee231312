"""What the gallery shows."""

from typing import Annotated

from pydantic import Field

from stages._params.base import Section


class Gallery(Section):
    """Section ``gallery``."""

    n_digits: Annotated[int, Field(ge=1, le=1000)]
