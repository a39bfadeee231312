"""Stage evaluate_multilabel: two labels a digit, "large" and "odd" (In 60-65)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold

from stages.common.arrays import load_group, load_set
from stages.common.folds import fold_numbers
from stages.common.params import read
from stages.neighbors.knn import outside_folds
from stages.output.tables import Metrics, write_metrics


def multilabels(y: NDArray[np.uint8], large_from: int) -> NDArray[np.bool_]:
    """Whether each digit is large (at least ``large_from``), and whether it is odd: (n, 2)."""
    return np.column_stack([y >= large_from, y % 2 == 1])


def out_of_fold_predictions(
    neighbors: dict[str, NDArray],
    images: NDArray[np.uint8],
    y: NDArray[np.bool_],
    n_neighbors: int,
    n_folds: int,
) -> NDArray[np.bool_]:
    """Both labels of each image by most of its nearest images outside of its fold: (n, 2).

    Args:
        neighbors: ``indices`` and ``squared_distances`` (n, k), of each image among all.
        images: (n, 28, 28).
        y: (n, 2), the true labels.
        n_neighbors: How many vote, at most k.
        n_folds: How many folds, as ``cross_val_predict`` cuts them for two labels: in order, not
            stratified.
    """
    folds = fold_numbers(KFold(n_folds), y)
    voters = outside_folds(neighbors, images, folds, n_neighbors)["indices"]
    return y[voters].mean(axis=1) > 0.5


def multilabel_metrics(
    first: NDArray[np.bool_], y: NDArray[np.bool_], out_of_fold: NDArray[np.bool_]
) -> Metrics:
    """The two labels predicted for the first digit, and F1 over all out-of-fold predictions.

    Args:
        first: (2,).
        y: (n, 2), the true labels.
        out_of_fold: (n, 2), the predicted ones.

    Returns:
        ``first_digit`` and ``f1``, which is empty where a label is the same for all images: there
        is nothing to be right or wrong about.
    """
    is_asked = (y.any(axis=0) & ~y.all(axis=0)).all()
    averages = ("macro", "weighted") if is_asked else ()
    return {
        "first_digit": {"large": bool(first[0]), "odd": bool(first[1])},
        "f1": {average: f1_score(y, out_of_fold, average=average) for average in averages},
    }


def main(params: Path, train: Path, neighbors: Path, metrics: Path) -> None:
    """Cross-validate both labels over the neighbours."""
    section, found = read(params, "multilabel"), load_group(neighbors)
    images, labels = load_set(train)
    y, k = multilabels(labels, section["large_from"]), section["n_neighbors"]
    out_of_fold = out_of_fold_predictions(found, images, y, k, section["n_folds"])
    # The first digit is its own nearest neighbour.
    first = y[found["indices"][0, :k]].mean(axis=0) > 0.5
    write_metrics(metrics, multilabel_metrics(first, y, out_of_fold))
