"""Accuracy over the folds of a cross-validation, and recall of each class."""

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
    return {
        **{f"fold_{i}": accuracy for i, accuracy in enumerate(accuracies, start=1)},
        "mean": float(np.mean(accuracies)),
    }


def recalls(y: NDArray, predictions: NDArray) -> dict[str, float]:
    """The share of the images of each class that are said to be of it, by the class.

    Args:
        y: (n,), the classes; one that is not among them has no recall.
        predictions: (n,).
    """
    return {str(label): float(np.mean(predictions[y == label] == label)) for label in np.unique(y)}
