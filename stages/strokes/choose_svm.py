"""Stage choose_svm: which kernel, how many copies, how much a second opinion counts.

A first SVM is trained on each fold alone. The SVM of all images, and those of all folds but
one, are trained on the support vectors of these: a cascade (Graf et al., Parallel support vector
machines: the cascade SVM, NIPS 2004).
"""

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from stages.common.arrays import load, load_set, save, save_group
from stages.common.folds import fold_numbers
from stages.common.params import read
from stages.common.progress import progress
from stages.parallel.workers import workers
from stages.strokes.svm import (
    Images,
    Ranking,
    apply_second_opinion,
    as_integers,
    fitted,
    ranked,
    second_opinion,
    with_copies,
)

# What the candidates differ in.
NAMES = ("gamma", "n_virtual_copies", "weight")


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
        The answers, (n_gamma * n_n_virtual_copies, n_weight, n), and for each gamma the rows that
        support the SVM of their own fold.
    """
    insides = [folds == fold for fold in np.unique(folds)]
    first = list(product(values["gamma"], insides))
    svcs = fitted([(images.features[of], y[of], gamma) for gamma, of in first], values["C"])
    support = {gamma: np.empty(0, dtype=np.intp) for gamma in values["gamma"]}
    for (gamma, inside), svc in zip(first, svcs, strict=True):
        support[gamma] = np.append(support[gamma], np.flatnonzero(inside)[svc.support_])
    candidates = list(product(support.items(), values["n_virtual_copies"]))
    predictions = np.empty((len(candidates), len(values["weight"]), len(y)), dtype=y.dtype)
    for inside in progress(insides, len(insides), "cross-validate"):
        sets = []
        for (gamma, rows), n_virtual_copies in candidates:
            others = rows[~inside[rows]]
            copied = with_copies(images.at(others), y[others], n_virtual_copies, values)
            sets.append((*copied, gamma))
        queries = images.at(inside)
        rankings = [ranked(as_integers(svc), queries.features) for svc in fitted(sets, values["C"])]
        ranking = Ranking(*map(np.stack, zip(*rankings, strict=True)))
        opinion = second_opinion(ranking, queries, images.at(~inside), y[~inside], values)
        for i, weight in enumerate(values["weight"]):
            predictions[:, i, inside] = apply_second_opinion(ranking, opinion, weight).first
    return predictions, support


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
    with workers():
        predictions, rows = cross_validated(images, y, folds, values)
    counts = (predictions != y).sum(axis=-1).ravel()
    candidates = list(product(*(values[name] for name in NAMES)))
    columns = dict(zip(NAMES, map(np.array, zip(*candidates, strict=True)), strict=True))
    save_group(out / "grid.npz", **columns, errors=counts, error=counts / len(y))
    best = dict(zip(NAMES, candidates[counts.argmin()], strict=True))
    best["cross_validated_error"] = round(counts.min() / len(y), 10)
    (out / "chosen.json").write_text(json.dumps(best, indent=2) + "\n", encoding="utf-8")
    save(out / "support.npy", rows[best["gamma"]])
