"""Stage fit: one model on labels, trained and cross-validated (In 10-16, 33, 40-52).

Keeps the scores of each image by a model that was fitted without it. Every threshold, curve and
metric is computed from them afterwards; nothing is fitted twice.
"""

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from stages.common.arrays import load, save_group
from stages.common.folds import fold_numbers
from stages.common.params import read
from stages.common.progress import progress
from stages.models.saved import save_model
from stages.parallel.workers import workers

Folds = Literal["in_order", "stratified", "shuffled"]


def assign_folds(
    kind: Folds, y: NDArray, n_folds: int, shuffle_seed: int | None = None
) -> NDArray[np.uint8]:
    """The fold that each image is tested in, (n,), from 0.

    Args:
        kind: ``stratified`` as for a classifier (In 13), ``shuffled`` the same after a shuffle
            (In 12), ``in_order`` as for the notebook's never-5, which is no classifier to
            scikit-learn (In 15).
        y: (n,).
        n_folds: How many folds.
        shuffle_seed: The seed of ``shuffled``.
    """
    if kind == "in_order":
        return fold_numbers(KFold(n_folds), y)
    shuffle = kind == "shuffled"
    return fold_numbers(StratifiedKFold(n_folds, shuffle=shuffle, random_state=shuffle_seed), y)


def fit_each(
    model: BaseEstimator, X: NDArray, y: NDArray, parts: Sequence[NDArray[np.bool_]], label: str
) -> list[Any]:
    """A model fitted on each part of the images, all at once.

    Args:
        model: An unfitted classifier. Where it has ``problems`` and ``join``, as
            :class:`stages.models.sgd.OneVsRestSGD`, these are fitted side by side, too.
        X: (n, 784).
        y: (n,).
        parts: (n,) each, whether an image belongs to the part.
        label: The label of the progress bar.
    """
    models, problems = [clone(model) for _ in parts], []
    # The largest parts first.
    for i in sorted(range(len(parts)), key=lambda i: -int(parts[i].sum())):
        if hasattr(model, "problems"):
            problems += [(i, solve) for solve in models[i].problems(X[parts[i]], y[parts[i]])]
        else:
            problems.append((i, partial(models[i].fit, y=y[parts[i]])))
    # All images, which travel to a cluster's worker but once.
    tasks = [delayed(partial(solve_part, solve, parts[i]))(X) for i, solve in problems]
    # Threads, because the fits release the GIL. A model that uses several cores by itself is fitted
    # on one part after another.
    n_jobs = 1 if getattr(model, "n_jobs", None) else -1
    parallel = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")
    results = progress(parallel(tasks), len(tasks), label)
    solved: list[list[Any]] = [[] for _ in parts]
    for (i, _), result in zip(problems, results, strict=True):
        solved[i].append(result)
    return [
        each.join(solutions) if hasattr(each, "join") else solutions[0]
        for each, solutions in zip(models, solved, strict=True)
    ]


def outside_each(folds: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
    """For each fold, (n,): whether an image is outside, and may train the fold's model."""
    return [folds != fold for fold in np.unique(folds)]


def solve_part(solve: Callable[[NDArray], Any], part: NDArray[np.bool_], X: NDArray) -> Any:
    """The solution of a problem that takes just a part of the images."""
    return solve(X if part.all() else X[part])


def scores(model: Any, X: ArrayLike, classes: NDArray) -> NDArray[np.float64]:
    """The decision function of a fitted classifier, or its probabilities where it has none.

    Args:
        model: A fitted classifier, or a pipeline that ends in one.
        X: (n, 784).
        classes: (n_classes,), rising. One that the model was trained without has the lowest score
            there is.

    Returns:
        (n,) for a yes-or-no question (the score of yes), else (n, n_classes), of ``classes``.
    """
    if hasattr(model, "decision_function"):
        known, lowest = np.asarray(model.decision_function(X), dtype=np.float64), -np.inf
        known = np.column_stack([-known, known]) if known.ndim == 1 else known
    else:
        known, lowest = model.predict_proba(X), 0.0
    columns = np.full((len(known), len(classes)), lowest)
    columns[:, np.searchsorted(classes, model.classes_)] = known
    return columns[:, 1] if classes.dtype == bool else columns


def out_of_fold_scores(
    models: Sequence[Any], X: NDArray, folds: NDArray[np.uint8], classes: NDArray
) -> NDArray[np.float64]:
    """The scores of each image by the model that was fitted on the other folds' images.

    They are those of :func:`sklearn.model_selection.cross_val_predict` with these folds.

    Args:
        models: A fitted one for each fold.
        X: (n, 784).
        folds: (n,), the fold that each image is tested in.
        classes: (n_classes,), rising.

    Returns:
        (n,) for a yes-or-no question (the score of yes), else (n, n_classes), of ``classes``.
    """
    parts = [scores(model, X[folds == fold], classes) for fold, model in enumerate(models)]
    together = np.empty((len(X), *parts[0].shape[1:]))
    for fold, part in enumerate(parts):
        together[folds == fold] = part
    return together


def predictions(model: Any, first: NDArray, test: NDArray, classes: NDArray) -> dict[str, NDArray]:
    """What a model trained on all training images says.

    Args:
        model: A fitted classifier.
        first: The first training image, (1, 784).
        test: The test images, (n, 784).
        classes: (n_classes,), rising.

    Returns:
        ``classes``; ``first_prediction`` (); ``first_scores`` (1,) for a yes-or-no question, else
        (n_classes,); ``predictions`` (n,); ``n_estimators`` (), how many models were fitted;
        ``n_problems`` (), how many intercepts they have: 45 for the pairs of ten classes, for an
        SVC. Of a linear model of the pixels as they are also its ``weights`` (n_problems, 784) and
        ``intercepts`` (n_problems,), both float64.
    """
    whole: Any = to_sklearn(model)
    last = whole[-1] if isinstance(whole, Pipeline) else whole
    n_estimators = len(getattr(last, "estimators_", [last]))
    intercepts = getattr(last, "intercept_", np.empty(n_estimators))
    answers = {
        "classes": classes,
        "first_prediction": model.predict(first)[0],
        "first_scores": scores(model, first, classes).ravel(),
        "predictions": model.predict(test),
        "n_estimators": np.array(n_estimators),
        "n_problems": np.array(np.size(intercepts)),
    }
    # The weights of a pipeline are of what the step before them makes of the pixels.
    is_linear = hasattr(last, "coef_") and last is whole
    return answers | ({"weights": last.coef_, "intercepts": intercepts} if is_linear else {})


def to_sklearn(model: Any) -> BaseEstimator:
    """``model`` as a class of scikit-learn's, which loads without this repository."""
    return model.to_sklearn() if hasattr(model, "to_sklearn") else model


def main(
    params: Path,
    model: str,
    section: str,
    folds: Literal["none"] | Folds,
    on_all: bool,
    images: Path,
    labels: Path,
    test_images: Path,
    out: Path,
) -> None:
    """Fit ``stages/models/{model}.py``, with the values of a section of ``params``.

    Into the folder ``out``, write ``out_of_fold.npz`` (``scores``, ``folds`` and ``classes``)
    unless there are no ``folds``; and if ``on_all`` images, ``predictions.npz`` and
    ``model.skops``.
    """
    # Views: a row of 784 pixels per image.
    X, test = (array.reshape(len(array), -1) for array in map(load, (images, test_images)))
    y = np.asarray(load(labels))
    classes, parts = np.unique(y), []
    if folds != "none":
        seed = read(params, "cross_validate.shuffle_seed") if folds == "shuffled" else None
        numbers = assign_folds(folds, y, read(params, "cross_validate.n_folds"), seed)
        parts = outside_each(numbers)
    estimator = import_module(f"stages.models.{model}").build(X, **read(params, section))
    everything = [np.full(len(y), True)] * on_all
    with workers():
        fitted = fit_each(estimator, X, y, parts + everything, f"fit {out.parent.name} {out.name}")
    if on_all:
        trained = fitted.pop()
        save_group(out / "predictions.npz", **predictions(trained, X[:1], test, classes))
        save_model(out / "model.skops", to_sklearn(trained))
    if parts:
        scored = out_of_fold_scores(fitted, X, numbers, classes)
        save_group(out / "out_of_fold.npz", scores=scored, folds=numbers, classes=classes)
