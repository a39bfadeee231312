"""Pictures of digits as PNG: dark ink on white paper, upright, thinly framed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

INCHES_PER_DIGIT = 0.6


def sheet(images: NDArray, n_columns: int) -> NDArray:
    """Images side by side, row after row: (n, 28, 28) to (rows * 28, n_columns * 28).

    The last row is filled up with blank images.
    """
    n_rows = -(-len(images) // n_columns)
    tiles = np.zeros((n_rows * n_columns, *images.shape[1:]), dtype=images.dtype)
    tiles[: len(images)] = images
    height, width = images.shape[1:]
    rows = tiles.reshape(n_rows, n_columns, height, width).swapaxes(1, 2)
    return rows.reshape(n_rows * height, n_columns * width)


def save_panels(
    path: Path, pictures: Sequence[NDArray], titles: Sequence[str], n_columns: int, size: float
) -> None:
    """Write titled pictures in a grid as PNG.

    Args:
        path: The PNG file.
        pictures: Grey levels from 0 (white) to 255 (black).
        titles: One each.
        n_columns: Pictures in a row.
        size: Width of a picture in inches.
    """
    n_rows = -(-len(pictures) // n_columns)
    aspect = pictures[0].shape[0] / pictures[0].shape[1]
    figure = Figure(
        figsize=(n_columns * size, n_rows * (size * aspect + 0.35)), layout="constrained"
    )
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax, picture, title in zip(axes, pictures, titles, strict=True):
        ax.imshow(picture, cmap="binary", vmin=0, vmax=255, interpolation="nearest")
        ax.set_title(title, fontsize=11)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_color("lightgray")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without its version of matplotlib, which would change the bytes and not the picture.
    figure.savefig(path, dpi=100, metadata={"Software": None})
