"""Arrays on disk: ``.npy`` for images and labels, ``.npz`` for the few that belong together."""

from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray


def load(path: Path) -> NDArray[np.uint8]:
    """The array of a ``.npy`` file, mapped read-only: images (n, 28, 28) or labels (n,), uint8."""
    array: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return array


def save(path: Path, array: NDArray[np.uint8]) -> None:
    """Write one array to a ``.npy`` file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def load_group(path: Path) -> dict[str, NDArray]:
    """The arrays of a ``.npz`` file by name."""
    with np.load(path) as arrays:
        return dict(arrays)


def save_group(path: Path, **arrays: NDArray) -> None:
    """Write named arrays to a ``.npz`` file; the same arrays give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, **arrays)


def as_rows(images: NDArray[np.uint8], dtype: DTypeLike = np.uint8) -> NDArray:
    """One row of 784 pixels per image, (n, 784): a view unless ``dtype`` differs."""
    return images.reshape(len(images), -1).astype(dtype, copy=False)
