"""Stage cross_validate: the out-of-fold scores of one model, kept.

Every threshold, curve and metric is computed from them afterwards; nothing is fitted twice.
"""

from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold, StratifiedKFold

from stages._arrays import as_rows, load, save_group
from stages._fits import fit_each, join_scores, outside_each
from stages._folds import fold_numbers
from stages._params.base import Folds, read
from stages._progress import joblib_progress
from stages._tasks import Task, task_labels

# Folds are stratified for a classifier, and in order for the notebook's never-5, which is none to
# cross_val_score.
SPLITTERS = {"stratified": StratifiedKFold, "in_order": KFold}


def out_of_fold_scores(
    model: BaseEstimator, X: NDArray, y: NDArray, folds: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """The scores of each image, by a model fitted on the other folds' images.

    As :func:`sklearn.model_selection.cross_val_predict` with these folds.

    Args:
        model: An unfitted classifier.
        X: (n, 784).
        y: (n,).
        folds: (n,), the fold in which each image is tested.

    Returns:
        Of :func:`stages._scores.scores`: (n,) for two classes, else (n, n_classes).
    """
    return join_scores(fit_each(model, X, y, outside_each(folds)), X, folds)


def main(
    params: Path,
    task: Task,
    model: str,
    folds: Literal["stratified", "in_order"],
    images: Path,
    labels: Path,
    out: Path,
) -> None:
    """Write ``scores`` and ``folds`` of ``stages/models/{model}.py`` to ``out``."""
    X = as_rows(load(images))
    y = task_labels(task, load(labels), params)
    n_folds = read(params, "cross_validate.folds", Folds)
    numbers = fold_numbers(SPLITTERS[folds](n_folds), y)
    estimator = import_module(f"stages.models.{model}").build(params, X)
    n_classes = len(np.unique(y))
    n_fits = n_folds * (n_classes + 1) if n_classes > 2 else None
    with joblib_progress(n_fits, f"cross-validate {task} {model}"):
        out_of_fold = out_of_fold_scores(estimator, X, y, numbers)
    save_group(out, scores=out_of_fold, folds=numbers)
