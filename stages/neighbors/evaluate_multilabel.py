"""Stage evaluate_multilabel: two labels a digit, "large" and "odd" (In 60-65)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold

from stages.common.arrays import load_group, load_set
from stages.common.folds import fold_numbers
from stages.common.params import read
from stages.neighbors.knn import outside_folds, vote
from stages.output.tables import Metrics, write_metrics


def multilabels(y: NDArray[np.uint8], large_from: int) -> NDArray[np.bool_]:
    """Whether each digit is large (at least ``large_from``), and whether it is odd: (n, 2)."""
    return np.column_stack([y >= large_from, y % 2 == 1])


def predictions(
    neighbors: dict[str, NDArray], y: NDArray[np.bool_], n_neighbors: int
) -> NDArray[np.bool_]:
    """Both labels of each query, (n, 2), by votes of its nearest images; of as many, no.

    Args:
        neighbors: ``indices`` and ``squared_distances`` (n, k) of the queries' neighbours.
        y: (m, 2), the labels of the images that they index.
        n_neighbors: How many vote, at most k.
    """
    votes = [vote(neighbors, of.astype(np.uint8), n_neighbors, "uniform") for of in y.T]
    return np.column_stack(votes) == 1


def out_of_fold_predictions(
    neighbors: dict[str, NDArray],
    images: NDArray[np.uint8],
    y: NDArray[np.bool_],
    n_neighbors: int,
    n_folds: int,
) -> NDArray[np.bool_]:
    """Both labels of each image by its nearest images outside of its fold: (n, 2).

    Args:
        neighbors: ``indices`` and ``squared_distances`` (n, k), of each image among all.
        images: (n, 28, 28).
        y: (n, 2), the true labels.
        n_neighbors: How many vote, at most k.
        n_folds: How many folds, as ``cross_val_predict`` cuts them for two labels: in order, not
            stratified.
    """
    folds = fold_numbers(KFold(n_folds), y)
    return predictions(outside_folds(neighbors, images, folds, n_neighbors), y, n_neighbors)


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
    section = read(params, "multilabel")
    n_neighbors = section["n_neighbors"]
    images, labels = load_set(train)
    y = multilabels(labels, section["large_from"])
    found = load_group(neighbors)
    out_of_fold = out_of_fold_predictions(found, images, y, n_neighbors, section["n_folds"])
    of_first = {name: values[:1] for name, values in found.items()}
    first = predictions(of_first, y, n_neighbors)[0]
    write_metrics(metrics, multilabel_metrics(first, y, out_of_fold))
