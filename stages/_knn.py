"""k-nearest-neighbour classifiers that read a graph instead of searching."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from sklearn.neighbors import KNeighborsClassifier

from stages._neighbors import graph, nearest


def outside_folds(
    neighbors: dict[str, NDArray], images: NDArray[np.uint8], folds: NDArray[np.uint8], n_neighbors: int
) -> csr_array:
    """A graph whose every row has ``n_neighbors`` of the nearest images outside its own fold.

    Args:
        neighbors: ``indices`` and ``squared_distances`` (n, k), of each image among all.
        images: (n, 28, 28); searched again, exactly, for the rows left with too few.
        folds: (n,), the fold in which each image is tested.
        n_neighbors: How many each row needs.

    Returns:
        (n, n) of distances, for ``KNeighborsClassifier(metric="precomputed")`` cross-validated
        on these folds: it sees only columns outside the fold of the rows that it predicts.
    """
    indices, squared = neighbors["indices"], neighbors["squared_distances"]
    outside = folds[indices] != folds[:, None]
    short = np.flatnonzero(outside.sum(axis=1) < n_neighbors)
    whole = graph(indices, squared, len(images))
    if not len(short):
        return whole
    rows = whole.tolil()
    for fold in np.unique(folds[short]):
        queries, others = short[folds[short] == fold], np.flatnonzero(folds != fold)
        found, distances = nearest(images[queries], images[others], n_neighbors)
        for query, near, far in zip(queries, others[found], np.sqrt(distances), strict=True):
            rows.rows[query], rows.data[query] = near.tolist(), far.tolist()
    return csr_array(rows)


def fitted(
    n_neighbors: int, weights: Literal["uniform", "distance"], y: NDArray
) -> KNeighborsClassifier:
    """A classifier of images with labels ``y`` that predicts from rows of a precomputed graph."""
    classifier = KNeighborsClassifier(n_neighbors, weights=weights, metric="precomputed")
    return classifier.fit(csr_array((len(y), len(y)), dtype=np.float64), y)
