"""Stage evaluate_neighbors: the grid's winner on the test set (Exercises 1 and 2)."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load, load_group
from stages.evaluate.accuracy import recalls
from stages.output.tables import write_metrics


def predictions(
    neighbors: dict[str, NDArray],
    y: NDArray[np.uint8],
    n_neighbors: int,
    weights: Literal["uniform", "distance"],
) -> NDArray[np.intp]:
    """The digit of each query, (n,), by a vote of its nearest images.

    :class:`~sklearn.neighbors.KNeighborsClassifier`, which takes a second to import, counts the
    same: of digits with as many votes, the least; by distance, an image at distance 0 outvotes all.

    Args:
        neighbors: ``indices`` and ``squared_distances`` (n, k) of the queries' neighbours.
        y: (m,), the digits of the images that they index.
        n_neighbors: At most k.
        weights: How the neighbours vote.
    """
    voters = y[neighbors["indices"][:, :n_neighbors]]
    weight = np.ones(voters.shape)
    if weights == "distance":
        squared = neighbors["squared_distances"][:, :n_neighbors]
        same = squared == 0
        weight = np.where(
            same.any(axis=1, keepdims=True), same, 1 / np.sqrt(np.maximum(squared, 1))
        )
    votes = np.zeros((len(voters), int(y.max()) + 1))
    np.add.at(votes, (np.arange(len(voters))[:, None], voters), weight)
    return votes.argmax(axis=1)


def main(
    grid: Path,
    neighbors: dict[str, Path],
    images: dict[str, Path],
    labels: dict[str, Path],
    test_labels: Path,
    metrics: dict[str, Path],
) -> None:
    """Write what the classifier that ``grid`` found best is worth, among each ``images``."""
    best = json.loads(grid.read_text(encoding="utf-8"))["best"]
    truth = load(test_labels)
    for model, path in metrics.items():
        y = load(labels[model])
        found = load_group(neighbors[model])
        answers = predictions(found, y, best["n_neighbors"], best["weights"])
        report = {
            "test_accuracy": np.mean(answers == truth),
            "test_recall": recalls(truth, answers),
            "n_neighbors": best["n_neighbors"],
            "weights": best["weights"],
            "n_train": len(y),
            "n_pixels": load(images[model])[0].size,
        }
        write_metrics(path, report)
