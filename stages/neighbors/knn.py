"""k-nearest-neighbour classifiers whose neighbours are known: what is left is a vote."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.neighbors.search import nearest


def outside_folds(
    neighbors: dict[str, NDArray],
    images: NDArray[np.uint8],
    folds: NDArray[np.uint8],
    n_neighbors: int,
) -> dict[str, NDArray]:
    """The ``n_neighbors`` nearest images of each image outside of its own fold.

    Args:
        neighbors: ``indices`` and ``squared_distances`` (n, k), of each image among all.
        images: (n, 28, 28); searched again, exactly, for the rows left with too few.
        folds: (n,), the fold in which each image is tested.
        n_neighbors: How many each row needs, at most k.

    Returns:
        ``indices`` and ``squared_distances`` (n, n_neighbors), by increasing distance.
    """
    indices, squared = neighbors["indices"].copy(), neighbors["squared_distances"].copy()
    outside = folds[indices] != folds[:, None]
    short = np.flatnonzero(outside.sum(axis=1) < n_neighbors)
    for fold in np.unique(folds[short]):
        queries, others = short[folds[short] == fold], np.flatnonzero(folds != fold)
        found, squared[queries] = nearest(images[queries], images[others], indices.shape[1])
        indices[queries] = others[found]
    outside = folds[indices] != folds[:, None]
    kept = outside & (np.cumsum(outside, axis=1) <= n_neighbors)
    shape = len(images), n_neighbors
    return {
        "indices": indices[kept].reshape(shape),
        "squared_distances": squared[kept].reshape(shape),
    }


def vote(
    neighbors: dict[str, NDArray],
    y: NDArray[np.uint8],
    n_neighbors: int,
    weights: Literal["uniform", "distance"],
) -> NDArray[np.intp]:
    """The class of each query, (n,), by a vote of its nearest images.

    :class:`~sklearn.neighbors.KNeighborsClassifier` counts the same: of classes with as many votes,
    the least; by distance, an image at distance 0 outvotes all.

    Args:
        neighbors: ``indices`` and ``squared_distances`` (n, k) of the queries' neighbours.
        y: (m,), the classes of the images that they index.
        n_neighbors: How many vote, at most k.
        weights: How they vote.
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
