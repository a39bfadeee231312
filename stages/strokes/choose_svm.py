"""Stage choose_svm: which kernel, how many copies, how much a second opinion counts.

A first SVM is trained on each fold alone. The SVM of all images, and those of all folds but
one, are trained on the support vectors of these: a cascade (Graf et al., Parallel support vector
machines: the cascade SVM, NIPS 2004).
"""

import json
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from stages.common.arrays import load, load_set, save, save_group
from stages.common.folds import fold_numbers
from stages.common.params import read
from stages.common.progress import joblib_progress
from stages.parallel.workers import workers
from stages.strokes.svm import (
    Images,
    apply_second_opinion,
    as_integers,
    fitted,
    fitted_on_copies,
    ranked,
    second_opinion,
)

# What the candidates differ in.
NAMES = ("gamma", "n_virtual_copies", "weight")


def support_rows(
    rows: NDArray[np.intp], y: NDArray, C: float, gamma: float, X: NDArray[np.uint16]
) -> NDArray[np.intp]:
    """Those of the rows that support an SVM trained on them.

    Args:
        rows: Of the features, a fold's.
        y: (n,).
        C: The inverse of the regularisation's strength.
        gamma: The kernel's coefficient.
        X: Features of all images, (n, n_features).
    """
    return rows[fitted(X[rows], y[rows], C, gamma).support_]


def answers(
    rows: NDArray[np.intp],
    inside: NDArray[np.bool_],
    y: NDArray,
    gamma: float,
    n_virtual_copies: int,
    values: Mapping[str, Any],
    pixels: NDArray[np.uint8],
    X: NDArray[np.uint16],
) -> NDArray:
    """An SVM's answers for the images of a fold, for each weight of the second opinion.

    Args:
        rows: The images to train on.
        inside: (n,), whether an image is of the fold.
        y: (n,).
        gamma: The kernel's coefficient.
        n_virtual_copies: Of each image to train on.
        values: The section of ``params.yaml``.
        pixels: All images, (n, 28, 28).
        X: Their features, (n, n_features).

    Returns:
        (n_weight, n of the fold).
    """
    images = Images(pixels, X)
    model = fitted_on_copies(images.at(rows), y[rows], gamma, n_virtual_copies, values)
    ranking = ranked(as_integers(model), X[inside])
    others = images.at(~inside)
    opinion = second_opinion(ranking, images.at(inside), others, y[~inside], values)
    return np.array(
        [apply_second_opinion(ranking, opinion, weight).first for weight in values["weight"]]
    )


def cross_validated(
    images: Images, y: NDArray, folds: NDArray[np.uint8], values: Mapping[str, Any]
) -> tuple[NDArray, dict[float, NDArray[np.intp]]]:
    """Every candidate's answers, by SVMs trained on the support vectors of the other folds.

    Args:
        images: n of them.
        y: (n,).
        folds: (n,), the fold that each image is asked in.
        values: The section of ``params.yaml``.

    Returns:
        The answers, (n_gamma, n_n_virtual_copies, n_weight, n), and for each gamma the rows that
        support the SVM of their own fold.
    """
    insides = [folds == fold for fold in np.unique(folds)]
    first = list(product(values["gamma"], insides))
    # The images are arguments, which travel to a cluster's worker but once.
    alone = (
        delayed(partial(support_rows, np.flatnonzero(inside), y, values["C"], gamma))(
            images.features
        )
        for gamma, inside in first
    )
    parallel = Parallel(n_jobs=-1, prefer="threads")
    found = parallel(alone)
    support = {
        gamma: np.concatenate(found[i * len(insides) : (i + 1) * len(insides)])
        for i, gamma in enumerate(values["gamma"])
    }
    asked = (
        delayed(partial(answers, rows[~inside[rows]], inside, y, gamma, n_virtual_copies, values))(
            *images
        )
        for gamma, rows in support.items()
        for n_virtual_copies in values["n_virtual_copies"]
        for inside in insides
    )
    said = np.empty((*(len(values[name]) for name in NAMES), len(y)), dtype=y.dtype)
    outs = product(range(len(values["gamma"])), range(len(values["n_virtual_copies"])), insides)
    for (i, j, inside), of_fold in zip(outs, parallel(asked), strict=True):
        said[i, j][:, inside] = of_fold
    return said, support


def main(params: Path, train: Path, features: Path, out: Path) -> None:
    """Write every candidate's errors, the first with the fewest, and the rows of its support.

    Args:
        params: The file of parameters.
        train: The folder of the training set.
        features: That of the features of strokes.
        out: The folder to write: ``grid.npz``, ``chosen.json`` and ``support.npy``.
    """
    values, (pixels, y) = read(params, "strokes"), map(np.asarray, load_set(train))
    folds = fold_numbers(StratifiedKFold(read(params, "cross_validate.n_folds")), y)
    images = Images(pixels, load(features / "train.npy"))
    with workers(), joblib_progress(None, "cross-validate"):
        said, rows = cross_validated(images, y, folds, values)
    counts = (said != y).sum(axis=-1).ravel()
    candidates = list(product(*(values[name] for name in NAMES)))
    columns = dict(zip(NAMES, map(np.array, zip(*candidates, strict=True)), strict=True))
    save_group(out / "grid.npz", **columns, errors=counts, error=counts / len(y))
    best = dict(zip(NAMES, candidates[counts.argmin()], strict=True))
    best["cross_validated_error"] = round(counts.min() / len(y), 10)
    (out / "chosen.json").write_text(json.dumps(best, indent=2) + "\n", encoding="utf-8")
    save(out / "support.npy", rows[best["gamma"]])
