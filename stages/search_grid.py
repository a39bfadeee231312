"""Stage search_grid: the grid of k-nearest-neighbour classifiers, cross-validated (Exercise 1)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.model_selection import GridSearchCV, PredefinedSplit, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from stages._arrays import load, load_group
from stages._folds import fold_numbers
from stages._knn import outside_folds
from stages._params.base import read
from stages._params.grid import Grid
from stages._reports import Metrics, write_csv, write_metrics


def search_grid(
    graph: csr_array, y: NDArray[np.uint8], folds: NDArray[np.uint8], grid: Grid
) -> dict[str, NDArray]:
    """The cross-validated accuracy of every candidate.

    Args:
        graph: (n, n), of :func:`stages._knn.outside_folds`.
        y: (n,), the digits.
        folds: (n,), the fold in which each image is tested.
        grid: The candidates.

    Returns:
        ``n_neighbors``, ``weights``, the ``mean`` and ``std`` of the folds' accuracies, and
        ``rank`` from 1, one entry a candidate, as :class:`~sklearn.model_selection.GridSearchCV`
        gives them.
    """
    search = GridSearchCV(
        KNeighborsClassifier(metric="precomputed"),
        {"n_neighbors": grid.n_neighbors, "weights": grid.weights},
        cv=PredefinedSplit(folds),
        refit=False,
    ).fit(graph, y)
    results = search.cv_results_
    return {
        "n_neighbors": results["param_n_neighbors"].astype(int),
        "weights": results["param_weights"].astype(str),
        "mean": results["mean_test_score"],
        "std": results["std_test_score"],
        "rank": results["rank_test_score"],
    }


def grid_metrics(results: dict[str, NDArray]) -> Metrics:
    """The best candidate, and every candidate's mean accuracy, as ``{weights}.{n_neighbors}``."""
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
    """Search the grid over the neighbour graph; write its metrics and its plot."""
    grid = read(params, "grid", Grid)
    y = load(labels)
    folds = fold_numbers(StratifiedKFold(grid.folds), y)
    graph = outside_folds(load_group(neighbors), load(images), folds, max(grid.n_neighbors))
    results = search_grid(graph, y, folds, grid)
    write_metrics(metrics, grid_metrics(results))
    write_csv(curve, {name: results[name] for name in ("n_neighbors", "weights", "mean", "std")})
