"""Which fold of a cross-validation tests which image."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def fold_numbers(splitter: Any, y: NDArray) -> NDArray[np.uint8]:
    """The fold in which each image is tested, (n,), from 0.

    Args:
        splitter: A splitter of :mod:`sklearn.model_selection`; ``PredefinedSplit`` of the result
            gives the same folds again.
        y: (n,) or (n, n_labels), the labels that it splits by.
    """
    folds = np.empty(len(y), dtype=np.uint8)
    for fold, (_, test) in enumerate(splitter.split(np.empty(len(y)), y)):
        folds[test] = fold
    return folds
