"""Stage evaluate_neighbors: the grid, and what its winner says of the test set (Exercises 1, 2)."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load_group, load_set, save_group
from stages.output.tables import Metrics, write_csv, write_metrics


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
    grid: Path,
    train: Path,
    augmented: Path,
    neighbors: Path,
    models: Path,
    metrics: Path,
    curve: Path,
) -> None:
    """Write what each candidate is worth, and what the best one says of the test images.

    Args:
        grid: What :func:`stages.neighbors.search_grid.search_grid` returns.
        train: The folder of the training set, among whose images the model ``knn`` votes.
        augmented: That of the model ``knn_augmented``.
        neighbors: The folder of the neighbours of test images, ``test_in_train.npz`` and
            ``test_in_augmented.npz``.
        models: The folder of the models to write.
        metrics: The JSON file to write.
        curve: The CSV file to write.
    """
    results = load_group(grid)
    measured: Any = grid_metrics(results)
    write_metrics(metrics, measured)
    write_csv(curve, {name: results[name] for name in ("n_neighbors", "weights", "mean", "std")})
    n_neighbors, weights = (measured["best"][name] for name in ("n_neighbors", "weights"))
    for name, folder in (("knn", train), ("knn_augmented", augmented)):
        images, y = load_set(folder)
        found = load_group(neighbors / f"test_in_{folder.name}.npz")
        save_group(
            models / name / "predictions.npz",
            predictions=predictions(found, y, n_neighbors, weights),
            n_neighbors=np.array(n_neighbors),
            weights=np.array(weights),
            n_train=np.array(len(y)),
            n_pixels=np.array(images[0].size),
        )
