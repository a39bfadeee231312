"""What a model trained on the whole training set says."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages._scores import scores


def answers(model: Any, first: NDArray, test: NDArray, decimals: int) -> dict[str, NDArray]:
    """What a fitted model says.

    Args:
        model: A fitted classifier.
        first: The first training image, (1, 784).
        test: The test images, (n, 784).
        decimals: Of ``first_scores``.

    Returns:
        ``first_prediction`` (); ``first_scores`` (1,) for two classes, else (n_classes,);
        ``predictions`` (n,); ``n_estimators`` (), how many models were fitted; ``n_problems``
        (), how many binary problems they solve, 45 of one-vs-one in an SVC of ten classes.
    """
    n_estimators = len(getattr(model, "estimators_", [model]))
    return {
        "first_prediction": model.predict(first)[0],
        "first_scores": np.round(scores(model, first).ravel(), decimals),
        "predictions": model.predict(test),
        "n_estimators": np.array(n_estimators),
        "n_problems": np.array(np.size(getattr(model, "intercept_", np.empty(n_estimators)))),
    }
