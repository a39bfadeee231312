"""Stage search_grid: the grid of kNN classifiers, and what its best one says (Exercises 1, 2)."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from stages.common.arrays import load_group, load_set, save_group
from stages.common.folds import fold_numbers
from stages.common.params import read
from stages.neighbors.knn import outside_folds, vote
from stages.output.tables import write_csv, write_metrics


def search_grid(
    neighbors: dict[str, NDArray],
    y: NDArray[np.uint8],
    folds: NDArray[np.uint8],
    n_neighbors: Sequence[int],
    weights: Sequence[Any],
) -> dict[str, NDArray]:
    """The cross-validated accuracy of every candidate.

    Args:
        neighbors: What :func:`stages.neighbors.knn.outside_folds` returns.
        y: (n,), the digits.
        folds: (n,), the fold in which each image is tested.
        n_neighbors: The numbers of neighbours that may vote.
        weights: How they may vote: ``uniform``, ``distance`` or both.

    Returns:
        ``n_neighbors``, ``weights``, and the ``mean`` and ``std`` of the folds' accuracies, one
        entry a candidate, in the order of :class:`~sklearn.model_selection.GridSearchCV`.
    """
    candidates = list(product(n_neighbors, weights))
    right = [vote(neighbors, y, *candidate) == y for candidate in candidates]
    accuracies = [[of[folds == fold].mean() for fold in np.unique(folds)] for of in right]
    return {
        "n_neighbors": np.array([n for n, _ in candidates]),
        "weights": np.array([how for _, how in candidates]),
        "mean": np.mean(accuracies, axis=1),
        "std": np.std(accuracies, axis=1),
    }


def grid_metrics(results: dict[str, NDArray]) -> dict[str, dict[str, Any]]:
    """The best candidate, the first of equals, and every candidate's mean accuracy.

    As ``best``, and ``{weights}.n_neighbors_{n}``.
    """
    best = results["mean"].argmax()
    names = {"n_neighbors": "n_neighbors", "weights": "weights", "accuracy": "mean"}
    found = {"best": {name: results[of][best].item() for name, of in names.items()}}
    for weights, n_neighbors, mean in zip(
        results["weights"], results["n_neighbors"], results["mean"], strict=True
    ):
        found.setdefault(str(weights), {})[f"n_neighbors_{n_neighbors}"] = mean
    return found


def main(
    params: Path,
    train: Path,
    augmented: Path,
    neighbors: Path,
    models: Path,
    metrics: Path,
    curve: Path,
) -> None:
    """Write what each candidate is worth, and what the best one says of the test images.

    Args:
        params: The file of parameters.
        train: The folder of the training set, among whose images the model ``knn`` votes.
        augmented: That of the model ``knn_augmented``.
        neighbors: The folder of the nearest neighbours.
        models: The folder of the models to write.
        metrics: The JSON file to write.
        curve: The CSV file to write.
    """
    grid, (images, y) = read(params, "grid"), load_set(train)
    folds = fold_numbers(StratifiedKFold(grid["n_folds"]), y)
    found = load_group(neighbors / "train_in_train.npz")
    outside = outside_folds(found, images, folds, max(grid["n_neighbors"]))
    results = search_grid(outside, y, folds, grid["n_neighbors"], grid["weights"])
    measured = grid_metrics(results)
    write_metrics(metrics, measured)
    write_csv(curve, results)
    best = {name: measured["best"][name] for name in ("n_neighbors", "weights")}
    for name, folder in (("knn", train), ("knn_augmented", augmented)):
        images, y = load_set(folder)
        found = load_group(neighbors / f"test_in_{folder.name}.npz")
        facts = best | {"n_train": len(y), "n_pixels": images[0].size}
        save_group(
            models / name / "predictions.npz",
            predictions=vote(found, y, **best),
            **{fact: np.array(value) for fact, value in facts.items()},
        )
