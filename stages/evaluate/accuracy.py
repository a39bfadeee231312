"""Accuracy over the folds of a cross-validation."""

import numpy as np
from numpy.typing import NDArray


def fold_accuracies(correct: NDArray[np.bool_], folds: NDArray[np.uint8]) -> dict[str, float]:
    """The share of correct answers in each fold, and the mean of the folds.

    Args:
        correct: (n,), whether the out-of-fold prediction is right.
        folds: (n,), the fold of each image, from 0.

    Returns:
        ``fold_1``, ``fold_2``, ... and ``mean``.
    """
    accuracies = [float(correct[folds == fold].mean()) for fold in np.unique(folds)]
    names = [f"fold_{i}" for i in range(1, len(accuracies) + 1)]
    return dict(zip(names, accuracies, strict=True)) | {"mean": float(np.mean(accuracies))}
