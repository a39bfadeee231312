"""Support vector machines."""

from typing import Annotated, Literal

from pydantic import Field

from stages._params.base import Section

Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Svc(Section):
    """Section ``svc``: :class:`sklearn.svm.SVC` with an RBF kernel."""

    C: Above0
    gamma: Literal["scale", "auto"] | Above0
