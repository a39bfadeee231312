"""Stage extract_features: strokes of each image, in which direction they run, and where.

The steps are those of Liu, Nakashima, Sako and Fujisawa, Handwritten digit recognition:
investigation of normalization and feature extraction techniques, Pattern Recognition 37 (2004).
Every step is of integers, or of fractions that are added, multiplied, divided and rooted one by
one: IEEE 754 leaves a CPU no choice. Matrix products are of integers, and stay below 2**53.
"""

from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from stages.common.arrays import load_set, save

SIDE, CELLS = 32, 8
# Pixels that the ink spreads (its standard deviation) along the longer axis.
SPREAD = 6.8
# A normalised image has quarters of grey levels.
SHADES = 4
# Of the eight directions, in 99ths: 70 / 99 is 1 / √2.
X = np.array([99, 70, 0, -70, -99, -70, 0, 70], dtype=np.int32)
Y = np.roll(X, 2)
SCALE = 1000
# As many images as stay in a CPU's cache.
BATCH_SIZE = 100


def normalising(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The affine map of each image that takes away its place, slant and size.

    Section 2: centred by mass, sheared until upright, both axes scaled by moments. The shorter axis
    is √(sin(π/2 r)) of the longer one, r their ratio before: "aspect ratio adaptive". Here
    r (3 - r²) / 2 stands for the sine.

    Args:
        images: (n, 28, 28); one without ink is taken for a point.

    Returns:
        (n, 2, 3): column and row in the image, of a point [right, down, 1] of the normalised one,
        whose middle is 0 and whose edges are at -1 and 1.
    """
    row, column = np.mgrid[:28, :28].reshape(2, -1).astype(float)
    powers = np.column_stack([column**0, column, row, column**2, column * row, row**2])
    ink, x, y, xx, xy, yy = (images.reshape(len(images), -1).astype(float) @ powers).T
    ink = np.maximum(ink, 1)
    x, y = x / ink, y / ink
    # A line of one pixel is not infinitely thin.
    across, down = xx / ink - x * x, np.maximum(yy / ink - y * y, 0.25)
    covariance = xy / ink - x * y
    slope = covariance / down
    width = np.sqrt(np.maximum(across - slope * covariance, 0.25))
    height = np.sqrt(down)
    longer = np.maximum(width, height)
    ratio = np.minimum(width, height) / longer
    stretched = np.sqrt(ratio * (3 - ratio * ratio) / 2)
    per_pixel = longer / SPREAD * (SIDE / 2)
    squeezed = per_pixel * ratio / stretched
    right = np.where(width < height, squeezed, per_pixel)
    down = np.where(width < height, per_pixel, squeezed)
    return np.stack([right, slope * down, x, 0 * down, down, y], axis=1).reshape(-1, 2, 3)


def warped(maps: NDArray[np.float64], warp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maps (n, 2, 3) after which a point is moved by the affine map ``warp`` (n, 2, 3) of it."""
    return maps + maps[:, :, :1] * warp[:, :1] + maps[:, :, 1:2] * warp[:, 1:]


def gradients(images: NDArray[np.uint8], maps: NDArray[np.float64]) -> NDArray[np.int32]:
    """Sobel's gradient of mapped images, to the right and down: (n, 2, SIDE, SIDE).

    Args:
        images: (n, 28, 28); blank around.
        maps: (n, 2, 3), as :func:`normalising` returns them. A point lies between four pixels, on
            a grid of 256ths (bilinear interpolation).
    """
    down, right = (np.mgrid[:SIDE, :SIDE].reshape(2, -1) + 0.5) / (SIDE / 2) - 1
    pixels = np.pad(images, ((0, 0), (1, 2), (1, 2))).reshape(len(images), -1)
    at = maps[:, :, :1] * right + maps[:, :, 1:2] * down + maps[:, :, 2:]
    whole = (np.rint(at * 256).clip(-256, 28 * 256) + 256).astype(np.int32)
    (column, row), (x, y) = (whole >> 8).swapaxes(0, 1), (whole & 255).swapaxes(0, 1)

    def pixel(down: int, right: int) -> NDArray[np.int32]:
        index = (row + down) * 31 + column + right
        return np.take_along_axis(pixels, index, axis=1).astype(np.int32)

    above = pixel(0, 0) * (256 - x) + pixel(0, 1) * x
    below = pixel(1, 0) * (256 - x) + pixel(1, 1) * x
    grey = (above * (256 - y) + below * y) // (2**16 // SHADES)
    grey = np.pad(grey.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)), mode="edge")
    tall = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    wide = grey[:, :, :-2] + 2 * grey[:, :, 1:-1] + grey[:, :, 2:]
    return np.stack([tall[:, :, 2:] - tall[:, :, :-2], wide[:, 2:] - wide[:, :-2]], axis=1)


def directions(gradient: NDArray[np.int32]) -> NDArray[np.int32]:
    """A gradient's parts along the two nearest of eight directions, whose sum it is (section 3.3).

    Args:
        gradient: (n, 2, SIDE, SIDE).

    Returns:
        (n, 8, SIDE, SIDE): the parts, 0 along the other directions.
    """
    x, y = gradient[:, 0], gradient[:, 1]
    # Twice the area between the gradient and a direction: how far the gradient is on its right.
    areas = [x * Y[i] - y * X[i] for i in range(8)]
    parts = [np.minimum(areas[(i + 1) % 8], -areas[i - 1]) for i in range(8)]
    return np.maximum(np.stack(parts, axis=1), 0) >> 7


def blurred(planes: NDArray[np.int32]) -> NDArray[np.float64]:
    """Planes (..., SIDE, SIDE) by a Gaussian of half a cell, at each cell: (..., CELLS, CELLS)."""
    cell = SIDE / CELLS
    middles = (np.arange(CELLS) + 0.5) * cell - 0.5
    weights = np.rint(64 * np.exp(-2 * ((np.arange(SIDE)[:, None] - middles) / cell) ** 2))
    return weights.T @ (planes.astype(float) @ weights)


def features(images: NDArray[np.uint8], maps: NDArray[np.float64]) -> NDArray[np.uint16]:
    """How much of each direction there is in each cell, (n, 8 * CELLS * CELLS).

    The square root of its share (section 3.4), in thousandths: all rows have a length of 1,000, but
    for the blank image's, which is 0.

    Args:
        images: (n, 28, 28).
        maps: (n, 2, 3), as :func:`normalising` returns them.
    """

    def of(images: NDArray[np.uint8], maps: NDArray[np.float64]) -> NDArray[np.uint16]:
        cells = blurred(directions(gradients(images, maps)))
        cells = cells.reshape(len(cells), -1)
        total = np.maximum(cells.sum(axis=1, keepdims=True), 1)
        return np.rint(SCALE * np.sqrt(cells / total)).astype(np.uint16)

    starts = range(0, len(images), BATCH_SIZE)
    parts = (slice(start, start + BATCH_SIZE) for start in starts)
    tasks = (delayed(of)(images[part], maps[part]) for part in parts)
    return np.concatenate(Parallel(n_jobs=-1, prefer="threads")(tasks))


def main(train: Path, test: Path, out: Path) -> None:
    """Write the features of the images of both sets, ``train.npy`` and ``test.npy``."""
    for part in (train, test):
        pixels = np.asarray(load_set(part)[0])
        save(out / f"{part.name}.npy", features(pixels, normalising(pixels)))
