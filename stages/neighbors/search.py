"""Exact nearest neighbours of images.

|q - x|² is |q|² + |x|² - 2 q·x, and all q·x are a matrix product. Single precision, the fastest,
holds every integer up to 2**24: a sum of integers that stays within is exact, in whatever order a
CPU adds. Pixels from -128 to 127 stay within for 1,024 of them.
"""

from threading import Lock

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from stages.common.progress import joblib_progress

EXACT = 2**24
# Queries, and images, of one product: 4 MB, which a CPU's cache keeps until it has been looked
# through.
PER_PRODUCT = 1000
# So many times images in single precision: 190 MB, however many there are.
PRODUCTS_AT_ONCE = 60
# A neighbour as one integer, which sorts by distance and then by index.
INDEX_BITS = 32
NO_NEIGHBOR = np.iinfo(np.int64).max


def nearest(
    queries: NDArray, images: NDArray, k: int, label: str = "neighbours"
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The ``k`` nearest images of each query in Euclidean distance, exactly.

    Args:
        queries: (n, 28, 28), integers from 0 to 1,000.
        images: (m, 28, 28), integers from 0 to 1,000; m is at least ``k``. If it is the same array
            as ``queries``, half of the work is saved.
        k: Neighbours of each query.
        label: The label of the progress bar.

    Returns:
        Indices into ``images`` and squared distances, (n, k) each, by increasing distance and,
        among equals, by increasing index.

    Raises:
        ValueError: There are fewer than ``k`` images.
    """
    if len(images) < k:
        raise ValueError(f"{len(images):,} images have no {k:,} nearest ones")
    brightest = np.maximum(queries.max(axis=0), images.max(axis=0)).ravel()
    # A pixel that is blank in all makes no difference.
    pixels, middle = np.flatnonzero(brightest), int(brightest.max()) // 2 + 1
    neighbors = np.full((len(queries), k), NO_NEIGHBOR)

    def centred(these: NDArray) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        rows = these.reshape(len(these), -1).take(pixels, axis=1).astype(np.float32)
        rows -= middle
        return rows, np.einsum("ij,ij->i", rows, rows, dtype=np.float64).astype(np.int32)

    def keep(rows: slice, squared: NDArray[np.int32], first: int) -> None:
        with locks[rows.start]:
            neighbors[rows] = _nearer(neighbors[rows], squared, first)

    def search(chunk: slice, base: NDArray, squares: NDArray, first: int) -> None:
        rows, own_squares = centred(queries[chunk])
        # Twice a number is as exact as the number.
        rows *= -2
        for part in _slices(len(base), PER_PRODUCT):
            start, end = first + part.start, first + part.stop
            # Of two images in one set, the distance is found once.
            if mutual and start < chunk.start:
                continue
            squared = np.add.outer(own_squares, squares[part])
            for terms in _slices(len(pixels), EXACT // middle**2):
                squared += (rows[:, terms] @ base[part, terms].T).astype(np.int32)
            keep(chunk, squared, start)
            if mutual and start > chunk.start:
                keep(slice(start, end), squared.T, chunk.start)

    mutual = queries is images
    blocks = _slices(len(images), PRODUCTS_AT_ONCE * PER_PRODUCT)
    chunks = _slices(len(queries), PER_PRODUCT)
    locks = {chunk.start: Lock() for chunk in chunks}
    with joblib_progress(len(blocks) * len(chunks), label), threadpool_limits(1, user_api="blas"):
        for block in blocks:
            base, squares = centred(images[block])
            tasks = (delayed(search)(chunk, base, squares, block.start) for chunk in chunks)
            Parallel(n_jobs=-1, backend="threading")(tasks)
    neighbors.sort(axis=1)
    indices = neighbors & (2**INDEX_BITS - 1)
    return indices.astype(np.int32), (neighbors >> INDEX_BITS).astype(np.int32)


def _slices(n: int, at_once: int) -> list[slice]:
    return [slice(start, min(start + at_once, n)) for start in range(0, n, at_once)]


def _nearer(
    neighbors: NDArray[np.int64], squared: NDArray[np.int32], first: int
) -> NDArray[np.int64]:
    """The nearest of those known, and of more images.

    Args:
        neighbors: (n, k), in no order.
        squared: (n, m), the squared distances of m more images.
        first: The index of the first of them.

    Returns:
        (n, k), in no order.
    """
    k = neighbors.shape[1]
    farthest = (neighbors.max(axis=1) >> INDEX_BITS).astype(np.int32)
    # Of equal distances, the lower index is nearer.
    found = np.flatnonzero(squared <= farthest[:, None])
    rows, columns = np.divmod(found, squared.shape[1])
    counts = np.bincount(rows, minlength=len(squared))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    more = np.full((len(squared), counts.max()), NO_NEIGHBOR)
    more[rows, places] = squared[rows, columns].astype(np.int64) << INDEX_BITS | (first + columns)
    return np.partition(np.hstack([neighbors, more]), k - 1, axis=1)[:, :k]
