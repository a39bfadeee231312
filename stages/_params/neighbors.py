"""The nearest-neighbour graph."""

from typing import Annotated

from pydantic import Field

from stages._params.base import Section


class Neighbors(Section):
    """Section ``neighbors``."""

    k: Annotated[int, Field(ge=1, le=1000)]
