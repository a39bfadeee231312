"""Stage search_grid: the grid of k-nearest-neighbour classifiers, cross-validated (Exercise 1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.model_selection import GridSearchCV, PredefinedSplit, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from stages.common.arrays import load, load_group
from stages.common.folds import fold_numbers
from stages.common.params import read
from stages.neighbors.knn import outside_folds
from stages.output.tables import Metrics, write_csv, write_metrics
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


def grid_metrics(results: dict[str, NDArray]) -> Metrics:
    """The best candidate, and every candidate's mean accuracy, as ``{weights}.n_neighbors_{n}``."""
    best = int(np.argmin(results["rank"]))
    means: dict[str, dict[str, float]] = {}
    for weights, n_neighbors, mean in zip(
        results["weights"], results["n_neighbors"], results["mean"], strict=True
    ):
        means.setdefault(str(weights), {})[f"n_neighbors_{n_neighbors}"] = mean
    return {
        "best": {
            "n_neighbors": results["n_neighbors"][best],
            "weights": results["weights"][best],
            "accuracy": results["mean"][best],
        },
        **means,
    }


def main(
    params: Path, images: Path, labels: Path, neighbors: Path, metrics: Path, curve: Path
) -> None:
    """Search the grid over the neighbours; write its metrics and its plot."""
    grid = read(params, "grid")
    y = load(labels)
    folds = fold_numbers(StratifiedKFold(grid["n_folds"]), y)
    n_neighbors, weights = grid["n_neighbors"], grid["weights"]
    distances = outside_folds(load_group(neighbors), load(images), folds, max(n_neighbors))
    with workers():
        results = search_grid(distances, y, folds, n_neighbors, weights)
    write_metrics(metrics, grid_metrics(results))
    write_csv(curve, {name: results[name] for name in ("n_neighbors", "weights", "mean", "std")})
