"""The scores of a fitted classifier, the same on any CPU where the model is linear."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import Pipeline


def scores(model: Any, X: Any) -> NDArray[np.float64]:
    """The decision function of a fitted classifier, or its probabilities where it has none.

    A linear model's scores of a dense X are a BLAS product, whose order of summation depends on
    the CPU; of a sparse X, SciPy adds pixel by pixel, in the same order everywhere.

    Args:
        model: A fitted classifier, or a pipeline that ends in one.
        X: (n, 784), an array.

    Returns:
        (n,) for two classes (the score of the second one), else (n, n_classes).
    """
    if isinstance(model, Pipeline):
        return scores(model[-1], model[:-1].transform(X))
    if isinstance(model, SGDClassifier):
        X = csr_array(X)
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(X), dtype=np.float64)
    probabilities: NDArray[np.float64] = model.predict_proba(X)
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
