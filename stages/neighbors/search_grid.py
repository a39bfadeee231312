"""Stage search_grid: the grid of k-nearest-neighbour classifiers, cross-validated (Exercise 1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.model_selection import GridSearchCV, PredefinedSplit, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from stages.common.arrays import load_group, load_set, save_group
from stages.common.folds import fold_numbers
from stages.common.params import read
from stages.neighbors.knn import outside_folds
from stages.parallel.workers import workers


def search_grid(
    distances: csr_array,
    y: NDArray[np.uint8],
    folds: NDArray[np.uint8],
    n_neighbors: Sequence[int],
    weights: Sequence[str],
) -> dict[str, NDArray]:
    """The cross-validated accuracy of every candidate.

    Args:
        distances: (n, n), what :func:`stages.neighbors.knn.outside_folds` returns.
        y: (n,), the digits.
        folds: (n,), the fold in which each image is tested.
        n_neighbors: The numbers of neighbours that may vote.
        weights: How they may vote: ``uniform``, ``distance`` or both.

    Returns:
        ``n_neighbors``, ``weights``, the ``mean`` and ``std`` of the folds' accuracies, and
        ``rank`` from 1, one entry a candidate, as :class:`~sklearn.model_selection.GridSearchCV`
        gives them.
    """
    search = GridSearchCV(
        KNeighborsClassifier(metric="precomputed"),
        {"n_neighbors": n_neighbors, "weights": weights},
        cv=PredefinedSplit(folds),
        refit=False,
    ).fit(distances, y)
    results = search.cv_results_
    return {
        "n_neighbors": results["param_n_neighbors"].astype(int),
        "weights": results["param_weights"].astype(str),
        "mean": results["mean_test_score"],
        "std": results["std_test_score"],
        "rank": results["rank_test_score"],
    }


def main(params: Path, train: Path, neighbors: Path, out: Path) -> None:
    """Search the grid over the neighbours, and write what each candidate is worth."""
    grid = read(params, "grid")
    images, y = load_set(train)
    folds = fold_numbers(StratifiedKFold(grid["n_folds"]), y)
    n_neighbors, weights = grid["n_neighbors"], grid["weights"]
    distances = outside_folds(load_group(neighbors), images, folds, max(n_neighbors))
    with workers():
        results = search_grid(distances, y, folds, n_neighbors, weights)
    save_group(out, **results)
