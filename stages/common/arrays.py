"""Arrays on disk: ``.npy`` for images and labels, ``.npz`` for the few that belong together."""

import errno
import os
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray


def load(path: Path) -> NDArray[Any]:
    """The array of a ``.npy`` file, mapped read-only.

    Images are (n, 28, 28) uint8, digits (n,) uint8, and answers to a yes-or-no question (n,) bool.
    """
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array


def save(path: Path, array: NDArray) -> None:
    """Write one array to a ``.npy`` file.

    Raises:
        OSError: The file could not be written, with the number that says why.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        np.save(path, array)
    except OSError as error:
        if error.errno is not None:
            raise
        # NumPy's own error, without a number, for an array that was written only in part.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


def load_set(folder: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images and their labels, ``images.npy`` and ``labels.npy`` of a folder, mapped read-only."""
    return load(folder / "images.npy"), load(folder / "labels.npy")


def save_set(folder: Path, images: NDArray, labels: NDArray) -> None:
    """Write images and their labels into a folder, as :func:`load_set` reads them."""
    save(folder / "images.npy", images)
    save(folder / "labels.npy", labels)


def load_group(path: Path) -> dict[str, NDArray]:
    """The arrays of a ``.npz`` file by name."""
    with np.load(path) as arrays:
        return dict(arrays)


def save_group(path: Path, **arrays: NDArray) -> None:
    """Write named arrays to a ``.npz`` file; the same arrays give the same bytes.

    Not so :func:`numpy.savez`, which leaves room for 4 GB and more in the header of each array:
    what stands in it, Python 3.11.4 has changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            content = BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(ZipInfo(f"{name}.npy"), content.getvalue())
