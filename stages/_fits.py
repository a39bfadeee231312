"""Fits of one model on several parts of the images, side by side."""

from collections.abc import Sequence

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from stages._scores import scores


def outside_each(folds: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
    """For each fold, (n,): whether an image is outside, and may train the fold's model."""
    return [folds != fold for fold in np.unique(folds)]


def fit_each(
    model: BaseEstimator, X: NDArray, y: NDArray, parts: Sequence[NDArray[np.bool_]]
) -> list[BaseEstimator]:
    """``model`` fitted on each part of the images.

    Args:
        model: An unfitted classifier.
        X: (n, 784).
        y: (n,).
        parts: (n,) each, whether an image belongs to the part.
    """
    # Threads, because the fits release the GIL. A model with scikit-learn's own threads takes one
    # part after another: see stages/_sgd.py for what happens when those are nested.
    n_jobs = None if getattr(model, "n_jobs", None) else -1
    tasks = (delayed(clone(model).fit)(X[part], y[part]) for part in parts)
    fitted: list[BaseEstimator] = Parallel(n_jobs=n_jobs, backend="threading")(tasks)
    return fitted


def join_scores(
    models: Sequence[BaseEstimator], X: NDArray, folds: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """The scores of each image by its fold's model.

    Args:
        models: A fitted one of each fold.
        X: (n, 784).
        folds: (n,).

    Returns:
        Of :func:`stages._scores.scores`: (n,) for two classes, else (n, n_classes).
    """
    parts = [scores(model, X[folds == fold]) for fold, model in enumerate(models)]
    together = np.empty((len(X), *parts[0].shape[1:]))
    for fold, part in enumerate(parts):
        together[folds == fold] = part
    return together
