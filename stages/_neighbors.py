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
# In single precision: 190 MB, however many images there are.
IMAGES_AT_ONCE = 60_000
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
    todo = np.arange(len(queries))
    n_candidates = min(k + SPARE_CANDIDATES, len(images))
    while len(todo):
        candidates, surely_farther = _candidates(queries, todo, images, n_candidates, label)
        for rows in _slices(len(todo), QUERIES_AT_ONCE):
            indices[todo[rows]], squared[todo[rows]] = _nearest_candidates(
                queries[todo[rows]], images, candidates[rows], k
            )
        certain = surely_farther > squared[todo, -1]
        todo = todo[~certain] if n_candidates < len(images) else todo[:0]
        n_candidates = min(2 * n_candidates, len(images))
    return indices, squared


def _slices(n: int, at_once: int) -> list[slice]:
    return [slice(start, min(start + at_once, n)) for start in range(0, n, at_once)]


def _candidates(
    queries: NDArray, todo: NDArray[np.intp], images: NDArray, n_candidates: int, label: str
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The nearest images of the queries ``todo``, as single precision has them.

    Returns:
        Indices, (len(todo), ``n_candidates``), and a squared distance that no image besides them
        is within, (len(todo),).
    """
    found = np.empty((len(todo), n_candidates), dtype=np.int32)
    distances = np.full((len(todo), n_candidates), np.inf, dtype=np.float32)
    norms, largest_norm = np.empty(len(todo)), 0.0
    blocks = _slices(len(images), IMAGES_AT_ONCE)
    with progress(len(todo) * len(blocks), label) as bar:
        for block in blocks:
            base = as_rows(images[block], np.float32)
            largest_norm = max(largest_norm, float(np.einsum("ij,ij->i", base, base).max()))
            for chunk in _slices(len(todo), QUERIES_AT_ONCE):
                rows = as_rows(queries[todo[chunk]], np.float32)
                norms[chunk] = np.einsum("ij,ij->i", rows, rows)
                nearer, which = faiss.knn(rows, base, min(n_candidates, len(base)))
                both = np.hstack([distances[chunk], nearer])
                best = np.argsort(both, axis=1, kind="stable")[:, :n_candidates]
                distances[chunk] = np.take_along_axis(both, best, 1)
                both_indices = np.hstack([found[chunk], which + block.start])
                found[chunk] = np.take_along_axis(both_indices, best, 1)
                bar.update(len(rows))
    # Of |q|² + |x|² - 2 q·x, where |q·x| <= |q||x|.
    error = ERROR_PER_TERM * images[0].size * (np.sqrt(norms) + np.sqrt(largest_norm)) ** 2
    return found, distances[:, -1] - error


def _nearest_candidates(
    queries: NDArray, images: NDArray, candidates: NDArray[np.int32], k: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The ``k`` nearest among each query's candidates, in exact integers."""

    def of_rows(rows: slice) -> NDArray[np.int64]:
        near = images[candidates[rows]].astype(np.int32)
        near -= queries[rows, None]
        squares: NDArray[np.int64] = np.einsum("qcij,qcij->qc", near, near).astype(np.int64)
        return squares

    rows_at_once = max(1, 2_000_000 // (candidates.shape[1] * images[0].size))
    tasks = (delayed(of_rows)(rows) for rows in _slices(len(queries), rows_at_once))
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
