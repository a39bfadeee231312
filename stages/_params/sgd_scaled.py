"""Linear SVM by stochastic gradient descent, on standardised pixels."""

from typing import Annotated

from pydantic import Field

from stages._params.base import Positive, Section, Seed


class SgdScaled(Section):
    """Section ``sgd_scaled``: a scaler, and :class:`sklearn.linear_model.SGDClassifier`."""

    max_iter: Positive
    tol: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    seed: Seed
    scale_per_fold: bool
