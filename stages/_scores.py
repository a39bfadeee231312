"""The scores of a fitted classifier."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def scores(model: Any, X: ArrayLike) -> NDArray[np.float64]:
    """The decision function of a fitted classifier, or its probabilities where it has none.

    Args:
        model: A fitted classifier, or a pipeline that ends in one.
        X: (n, 784).

    Returns:
        (n,) for two classes (the score of the second one), else (n, n_classes).
    """
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(X), dtype=np.float64)
    probabilities: NDArray[np.float64] = model.predict_proba(X)
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
