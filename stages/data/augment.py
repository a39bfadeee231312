"""Stage augment: the training set and one shifted copy per shift, shuffled (Exercise 2)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load_set, save_set
from stages.common.params import read


def shifted(images: NDArray[np.uint8], right: int, down: int) -> NDArray[np.uint8]:
    """Images (n, height, width) moved by whole pixels; what comes in is blank.

    The same as :func:`scipy.ndimage.shift` with ``cval=0``, without its interpolation.
    """
    height, width = images.shape[1:]
    moved = np.zeros_like(images)
    moved[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = images[
        :, max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return moved


def augment(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    shifts: Sequence[Sequence[int]],
    seed: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The images and their shifted copies, shuffled together.

    Args:
        images: (n, 28, 28).
        labels: (n,).
        shifts: m shifts, each right and down in pixels.
        seed: The seed of the shuffle, by :class:`numpy.random.RandomState`, whose stream is frozen.

    Returns:
        Images (n * (m + 1), 28, 28) and their labels.
    """
    n = len(images)
    copies = [(0, 0), *shifts]
    order = np.random.RandomState(seed).permutation(n * len(copies))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    augmented = np.empty((len(order), *images.shape[1:]), dtype=images.dtype)
    # Copy by copy into its place, so that memory holds the result only once.
    for places, (right, down) in zip(place.reshape(-1, n), copies, strict=True):
        augmented[places] = shifted(images, right, down)
    return augmented, labels[order % n]


def main(params: Path, train: Path, out: Path) -> None:
    """Write the augmented training set."""
    shifts, seed = read(params, "augment.shifts"), read(params, "augment.seed")
    save_set(out, *augment(*load_set(train), shifts, seed))
