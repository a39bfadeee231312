"""k-nearest-neighbour classifiers that read known distances instead of searching."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from stages.neighbors.search import nearest


def outside_folds(
    neighbors: dict[str, NDArray],
    images: NDArray[np.uint8],
    folds: NDArray[np.uint8],
    n_neighbors: int,
) -> csr_array:
    """The distances of each image to its ``n_neighbors`` nearest outside of its own fold.

    Args:
        neighbors: ``indices`` and ``squared_distances`` (n, k), of each image among all.
        images: (n, 28, 28); searched again, exactly, for the rows left with too few.
        folds: (n,), the fold in which each image is tested.
        n_neighbors: How many each row needs, at most k.

    Returns:
        (n, n) of ``n_neighbors`` distances a row and its own, 0, for ``KNeighborsClassifier`` with
        ``metric="precomputed"``, cross-validated on these folds: it sees only columns outside the
        fold of the rows that it predicts. Those among the rows that it is fitted on it only checks,
        for which there must be one.
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
    shape, itself = (len(images), n_neighbors), np.arange(len(images), dtype=indices.dtype)
    return sparse_distances(
        np.column_stack([itself, indices[kept].reshape(shape)]),
        np.column_stack([np.zeros_like(itself), squared[kept].reshape(shape)]),
        len(images),
    )


def sparse_distances(
    indices: NDArray[np.int32], squared_distances: NDArray[np.int32], n_images: int
) -> csr_array:
    """The distances of the neighbours, as scikit-learn reads them.

    Returns:
        (n, ``n_images``) of Euclidean distances, float64, each row by increasing distance: what
        ``KNeighborsClassifier(metric="precomputed")`` takes.
    """
    n, k = indices.shape
    starts = np.arange(0, n * k + 1, k)
    return csr_array(
        (np.sqrt(squared_distances.ravel()), indices.ravel(), starts), shape=(n, n_images)
    )
