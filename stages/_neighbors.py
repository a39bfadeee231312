"""Exact nearest neighbours of images, and the graph that scikit-learn makes of them.

faiss finds candidates with single-precision matrix products, whose rounding is bounded; the
squared distances of the candidates, which are integers, are then computed exactly.
"""

import faiss
import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.sparse import csr_array

from stages._arrays import as_rows
from stages._progress import progress

QUERIES_AT_ONCE = 2000
SPARE_CANDIDATES = 16
# A sum of n products in single precision is off by at most n * 2**-24 of the sum of their
# absolute values, to first order (Higham, Accuracy and Stability of Numerical Algorithms,
# 2nd ed., section 3.1), whatever the order of summation. Doubled, for the few operations
# besides.
ERROR_PER_TERM = 2.0**-23


def nearest(
    queries: NDArray, images: NDArray, k: int, label: str = "neighbours"
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The ``k`` nearest images of each query in Euclidean distance, exactly.

    Args:
        queries: (n, 28, 28), integers.
        images: (m, 28, 28), integers; m is at least ``k``.
        k: Neighbours of each query.
        label: Of the progress bar.

    Returns:
        Indices into ``images`` and squared distances, (n, k) each, by increasing distance and,
        among equals, by increasing index.
    """
    indices = np.empty((len(queries), k), dtype=np.int32)
    squared = np.empty((len(queries), k), dtype=np.int32)
    base = as_rows(images, np.float32)
    largest_norm = float(np.einsum("ij,ij->i", base, base).max())
    with progress(len(queries), label) as bar:
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            chunk = slice(start, start + QUERIES_AT_ONCE)
            indices[chunk], squared[chunk] = _nearest_of_chunk(
                queries[chunk], images, base, largest_norm, k
            )
            bar.update(len(indices[chunk]))
    return indices, squared


def _nearest_of_chunk(
    queries: NDArray, images: NDArray, base: NDArray[np.float32], largest_norm: float, k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = as_rows(queries, np.float32)
    norms = np.einsum("ij,ij->i", rows, rows)
    # Of |q|² + |x|² - 2 q·x, where |q·x| <= |q||x|.
    error = ERROR_PER_TERM * base.shape[1] * (np.sqrt(norms) + np.sqrt(largest_norm)) ** 2
    indices = np.empty((len(queries), k), dtype=np.int64)
    squared = np.empty((len(queries), k), dtype=np.int64)
    todo = np.arange(len(queries))
    n_candidates = min(k + SPARE_CANDIDATES, len(images))
    while len(todo):
        approximate, candidates = faiss.knn(rows[todo], base, n_candidates)
        found, distances = _nearest_candidates(queries[todo], images, candidates, k)
        indices[todo], squared[todo] = found, distances
        # No image outside the candidates can be nearer than the last of them, less the error.
        certain = approximate[:, -1] - error[todo] > distances[:, -1]
        todo = todo[~certain] if n_candidates < len(images) else todo[:0]
        n_candidates = min(2 * n_candidates, len(images))
    return indices, squared


def _nearest_candidates(
    queries: NDArray, images: NDArray, candidates: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ``k`` nearest among each query's candidates, in exact integers."""

    def of_rows(rows: slice) -> NDArray[np.int64]:
        near = images[candidates[rows]].astype(np.int32)
        near -= queries[rows, None]
        squares: NDArray[np.int64] = np.einsum("qcij,qcij->qc", near, near).astype(np.int64)
        return squares

    rows_at_once = max(1, 2_000_000 // (candidates.shape[1] * images[0].size))
    slices = [slice(i, i + rows_at_once) for i in range(0, len(queries), rows_at_once)]
    tasks = (delayed(of_rows)(rows) for rows in slices)
    exact = np.concatenate(Parallel(n_jobs=-1, backend="threading")(tasks))
    order = np.lexsort((candidates, exact))[:, :k]
    return np.take_along_axis(candidates, order, 1), np.take_along_axis(exact, order, 1)


def graph(
    indices: NDArray[np.int32], squared_distances: NDArray[np.int32], n_images: int
) -> csr_array:
    """The neighbours as scikit-learn's precomputed sparse graph.

    Returns:
        (n, ``n_images``) of Euclidean distances, float64, each row by increasing distance: what
        ``KNeighborsClassifier(metric="precomputed")`` takes.
    """
    n, k = indices.shape
    starts = np.arange(0, n * k + 1, k)
    return csr_array(
        (np.sqrt(squared_distances.ravel()), indices.ravel(), starts), shape=(n, n_images)
    )
