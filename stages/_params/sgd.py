"""Linear SVM by stochastic gradient descent."""

from typing import Annotated

from pydantic import Field

from stages._params.base import Positive, Section, Seed


class Sgd(Section):
    """Section ``sgd``: :class:`sklearn.linear_model.SGDClassifier`."""

    max_iter: Positive
    tol: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    seed: Seed
