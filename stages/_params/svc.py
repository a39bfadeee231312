"""Support vector machines with an RBF kernel."""

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from stages._params.base import Section


def _gamma(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in ("scale", "auto") or (number and 0 < value < math.inf):
        return value
    raise ValueError("should be scale, auto or a number above 0")


class Svc(Section):
    """Sections ``svc`` and ``ovr_svc``: of :class:`sklearn.svm.SVC`."""

    C: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    gamma: Annotated[float | str, BeforeValidator(_gamma)]
