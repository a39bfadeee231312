"""Stage cross_validate: the out-of-fold scores of one model, kept.

Every threshold, curve and metric is computed from them afterwards; nothing is fitted twice.
"""

from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import KFold, PredefinedSplit, StratifiedKFold

from stages._arrays import as_rows, load, save_group
from stages._folds import fold_numbers
from stages._params.base import Folds, Seed, read
from stages._progress import joblib_progress
from stages._scores import scores
from stages._tasks import Task, task_labels

Cut = Literal["stratified", "shuffled", "in_order"]


def splitter(cut: Cut, n_folds: int, seed: int | None) -> KFold | StratifiedKFold:
    """How the notebook cuts the folds.

    ``stratified`` for a classifier; ``shuffled`` in In 12, with a seed; ``in_order`` for its
    never-5, which is no scikit-learn classifier, so that cross_val_score does not stratify.
    """
    if cut == "in_order":
        return KFold(n_folds)
    return StratifiedKFold(n_folds, shuffle=cut == "shuffled", random_state=seed)


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

    def of_fold(train: NDArray[np.intp], test: NDArray[np.intp]) -> NDArray[np.float64]:
        return scores(clone(model).fit(X[train], y[train]), X[test])

    splits = list(PredefinedSplit(folds).split())
    # Threads, because the fits release the GIL. A model with scikit-learn's own threads takes one
    # fold after another: see stages/_sgd.py for what happens when those are nested.
    n_jobs = None if getattr(model, "n_jobs", None) else -1
    tasks = (delayed(of_fold)(*split) for split in splits)
    parts = Parallel(n_jobs=n_jobs, backend="threading")(tasks)
    together = np.empty((len(X), *parts[0].shape[1:]))
    for (_, test), part in zip(splits, parts, strict=True):
        together[test] = part
    return together


def main(
    params: Path, task: Task, model: str, folds: Cut, images: Path, labels: Path, out: Path
) -> None:
    """Write ``scores`` and ``folds`` of ``stages/models/{model}.py`` to ``out``."""
    X = as_rows(load(images))
    y = task_labels(task, load(labels), params)
    n_folds = read(params, "cross_validate.folds", Folds)
    seed = read(params, "cross_validate.shuffle_seed", Seed) if folds == "shuffled" else None
    numbers = fold_numbers(splitter(folds, n_folds, seed), y)
    estimator = import_module(f"stages.models.{model}").build(params, X)
    n_classes = len(np.unique(y))
    n_fits = n_folds * (n_classes + 1) if n_classes > 2 else None
    with joblib_progress(n_fits, f"cross-validate {task} {model}"):
        out_of_fold = out_of_fold_scores(estimator, X, y, numbers)
    save_group(out, scores=out_of_fold, folds=numbers)
