"""k-nearest-neighbour classifiers that read a graph instead of searching."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array
from sklearn.neighbors import KNeighborsClassifier

from stages._neighbors import graph, nearest


def outside_folds(
    neighbors: dict[str, NDArray],
    images: NDArray[np.uint8],
    folds: NDArray[np.uint8],
    n_neighbors: int,
) -> csr_array:
    """A graph whose every row has ``n_neighbors`` of the nearest images outside its own fold.

    Args:
        neighbors: ``indices`` and ``squared_distances`` (n, k), of each image among all.
        images: (n, 28, 28); searched again, exactly, for the rows left with too few.
        folds: (n,), the fold in which each image is tested.
        n_neighbors: How many each row needs, at most k.

    Returns:
        (n, n) of ``n_neighbors`` distances a row, for ``KNeighborsClassifier`` with
        ``metric="precomputed"``, cross-validated on these folds: it sees only columns outside the
        fold of the rows that it predicts.
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
    return graph(indices[kept].reshape(shape), squared[kept].reshape(shape), len(images))


def fitted(n_neighbors: int, y: NDArray) -> KNeighborsClassifier:
    """A classifier of images with labels ``y`` that predicts from rows of a precomputed graph."""
    classifier = KNeighborsClassifier(n_neighbors, metric="precomputed")
    # The distances among the training images play no part, but scikit-learn sorts them.
    return classifier.fit(eye_array(len(y), format="csr"), y)
