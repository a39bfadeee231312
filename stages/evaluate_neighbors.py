"""Stage evaluate_neighbors: the grid's winner on the test set (Exercises 1 and 2)."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages._arrays import load, load_group
from stages._knn import fitted
from stages._neighbors import graph
from stages._reports import write_metrics


def predictions(
    neighbors: dict[str, NDArray],
    y: NDArray[np.uint8],
    n_neighbors: int,
    weights: Literal["uniform", "distance"],
) -> NDArray[np.uint8]:
    """The digit of each query, (n,), by its nearest images.

    Args:
        neighbors: ``indices`` and ``squared_distances`` (n, k) of the queries' neighbours.
        y: (m,), the digits of the images that they index.
        n_neighbors: At most k.
        weights: How the neighbours vote.
    """
    distances = graph(neighbors["indices"], neighbors["squared_distances"], len(y))
    digits: NDArray[np.uint8] = fitted(n_neighbors, weights, y).predict(distances)
    return digits


def main(
    grid: Path,
    neighbors: dict[str, Path],
    images: dict[str, Path],
    labels: dict[str, Path],
    test_labels: Path,
    metrics: dict[str, Path],
) -> None:
    """Write the test accuracy of the classifier that ``grid`` found best, among each ``images``."""
    best = json.loads(grid.read_text())["best"]
    truth = load(test_labels)
    for model, path in metrics.items():
        y = load(labels[model])
        found = load_group(neighbors[model])
        answers = predictions(found, y, best["n_neighbors"], best["weights"])
        report = {
            "test_accuracy": np.mean(answers == truth),
            "n_neighbors": best["n_neighbors"],
            "weights": best["weights"],
            "n_train": len(y),
            "n_pixels": load(images[model])[0].size,
        }
        write_metrics(path, report)
