"""Exact nearest neighbours of images.

|q - x|² is |q|² + |x|² - 2 q·x, and all q·x are a matrix product. Single precision, the fastest,
holds every integer up to 2**24: a sum of integers that stays within is exact, in whatever order a
CPU adds. Pixels from -128 to 127 stay within for 1,024 of them.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from stages.common.progress import progress

EXACT = 2**24
# Queries, and images, of one product: 4 MB, which a CPU's cache keeps until it has been looked
# through.
PER_PRODUCT = 1000
# Queries, and images, of one task: half a second of one core, and 40 MB of its memory.
PER_TASK = 5000
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
    mutual = queries is images
    groups, blocks = (
        [np.asarray(of[part]) for part in _slices(len(of), PER_TASK)] for of in (queries, images)
    )
    # The same arrays: a cluster gets each of them once.
    blocks = groups if mutual else blocks
    n = len(groups)
    pairs = [(i, j) for j in range(len(blocks)) for i in reversed(range(j + 1 if mutual else n))]
    # Never written into: another thread reads it.
    neighbors = [np.full((len(group), k), NO_NEIGHBOR) for group in groups]

    def tasks() -> Iterator[Any]:
        for i, j in pairs:
            limits = {of: neighbors[of].max(axis=1) for of in ({i, j} if mutual else {i})}
            search = partial(_search, i, j, mutual, pixels, middle, k, limits)
            yield delayed(search)(groups[i], blocks[j])

    parallel = Parallel(n_jobs=-1, prefer="threads", return_as="generator_unordered")
    for found in progress(parallel(tasks()), len(pairs), label):
        for of, nearer in found.items():
            neighbors[of] = _least(neighbors[of], nearer)
    least = np.sort(np.concatenate(neighbors), axis=1)
    indices = least & (2**INDEX_BITS - 1)
    return indices.astype(np.int32), (least >> INDEX_BITS).astype(np.int32)


def _search(
    i: int,
    j: int,
    mutual: bool,
    pixels: NDArray[np.intp],
    middle: int,
    k: int,
    limits: dict[int, NDArray[np.int64]],
    queries: NDArray,
    images: NDArray,
) -> dict[int, NDArray[np.int64]]:
    """Neighbours of group ``i`` of queries in block ``j`` of images, each of ``k``.

    If ``mutual``, both are of one set, and no block comes before the group: then the neighbours of
    the block's images in the group are found, too. ``limits`` are the farthest neighbours known:
    (n,) of each query by ``i``, and then (m,) of each image by ``j``.

    Returns:
        For each of ``limits``, all neighbours that are nearer and may be among the nearest: (n, up
        to k). What they have too few of is filled up with the limit.
    """
    base, squares = _centred(images, pixels, middle)
    found = {of: np.repeat(limit[:, None], k, axis=1) for of, limit in limits.items()}
    for rows in _slices(len(queries), PER_PRODUCT):
        centred, own_squares = _centred(queries[rows], pixels, middle)
        # Twice a number is as exact as the number.
        centred *= -2
        for part in _slices(len(images), PER_PRODUCT):
            query, image = i * PER_TASK + rows.start, j * PER_TASK + part.start
            # Of two images in one set, the distance is found once.
            if mutual and image < query:
                continue
            squared = np.add.outer(own_squares, squares[part])
            for terms in _slices(len(pixels), EXACT // middle**2):
                squared += (centred[:, terms] @ base[part, terms].T).astype(np.int32)
            found[i][rows] = _nearer(found[i][rows], squared, image)
            if mutual and image > query:
                turned = np.ascontiguousarray(squared.T)
                found[j][part] = _nearer(found[j][part], turned, query)
    for of, limit in limits.items():
        found[of].sort(axis=1)
        found[of] = found[of][:, : (found[of] < limit[:, None]).sum(axis=1).max()]
    return found


def _slices(n: int, at_once: int) -> list[slice]:
    return [slice(start, min(start + at_once, n)) for start in range(0, n, at_once)]


def _centred(
    images: NDArray, pixels: NDArray[np.intp], middle: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    rows = images.reshape(len(images), -1).take(pixels, axis=1).astype(np.float32)
    rows -= middle
    return rows, np.einsum("ij,ij->i", rows, rows, dtype=np.float64).astype(np.int32)


def _least(neighbors: NDArray[np.int64], more: NDArray[np.int64]) -> NDArray[np.int64]:
    k = neighbors.shape[1]
    return np.partition(np.hstack([neighbors, more]), k - 1, axis=1)[:, :k]


def _nearer(
    neighbors: NDArray[np.int64], squared: NDArray[np.int32], first: int
) -> NDArray[np.int64]:
    """The nearest of those known and of more images, which start with ``first``: (n, k), unsorted.

    Of the others, ``squared`` has the squared distances, (n, m).
    """
    k = neighbors.shape[1]
    farthest = (neighbors.max(axis=1) >> INDEX_BITS).astype(np.int32)
    if k <= squared.shape[1] and (farthest == NO_NEIGHBOR >> INDEX_BITS).any():
        farthest = np.minimum(farthest, np.partition(squared, k - 1, axis=1)[:, k - 1])
    # Of equal distances, the lower index is nearer.
    found = np.flatnonzero(squared <= farthest[:, None])
    rows, columns = np.divmod(found, squared.shape[1])
    counts = np.bincount(rows, minlength=len(squared))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    more = np.full((len(squared), counts.max()), NO_NEIGHBOR)
    more[rows, places] = squared[rows, columns].astype(np.int64) << INDEX_BITS | (first + columns)
    return _least(neighbors, more)
