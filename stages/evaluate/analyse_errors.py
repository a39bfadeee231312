"""Stage analyse_errors: which classes are taken for which (In 52-59)."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from stages.common.arrays import load, load_group
from stages.common.params import read
from stages.output.pictures import INCHES_PER_DIGIT, save_matrix, save_panels, sheet
from stages.output.tables import write_csv

EXAMPLES_A_SIDE = 3


def long_form(matrix: NDArray, classes: NDArray, name: str, diagonal: bool) -> dict[str, NDArray]:
    """A confusion matrix of named ``classes`` as columns ``actual``, ``predicted`` and ``name``."""
    rows, columns = np.nonzero(
        np.ones_like(matrix) if diagonal else ~np.eye(len(matrix), dtype=bool)
    )
    return {"actual": classes[rows], "predicted": classes[columns], name: matrix[rows, columns]}


def panel(
    images: NDArray[np.uint8], chosen: NDArray[np.bool_], n_examples: int, n_columns: int
) -> NDArray[np.uint8]:
    """The first ``n_examples`` chosen images (n, 28, 28) in one picture, blank where missing."""
    examples = np.zeros((n_examples, *images.shape[1:]), dtype=images.dtype)
    first = np.flatnonzero(chosen)[:n_examples]
    examples[: len(first)] = images[first]
    return sheet(examples, n_columns)


def main(
    params: Path,
    images: Path,
    labels: Path,
    classes: Path,
    out_of_fold: Path,
    confusion: Path,
    errors: Path,
    panels: Path,
    examples: Path,
) -> None:
    """Write the confusion matrix, its errors as shares of each class, and pictures of them.

    ``panels`` has a picture of each of the four cells of a pair of classes, ``examples`` a few
    images of every cell.
    """
    pair, n_examples = read(params, "errors.pair"), read(params, "errors.n_examples")
    y, group = load(labels), load_group(out_of_fold)
    known = group["classes"]
    names = json.loads(classes.read_text(encoding="utf-8"))["names"]
    of_known = np.array([names[str(label)] for label in known])
    predictions = known[group["scores"].argmax(axis=1)]
    matrix = confusion_matrix(y, predictions, labels=known)
    write_csv(confusion, long_form(matrix, of_known, "count", diagonal=True))
    shares = matrix / matrix.sum(axis=1, keepdims=True)
    write_csv(errors, long_form(shares, of_known, "share", diagonal=False))
    pixels = load(images)

    def cell(actual: int, predicted: int, n_examples: int, n_columns: int) -> NDArray[np.uint8]:
        return panel(pixels, (y == actual) & (predictions == predicted), n_examples, n_columns)

    n = EXAMPLES_A_SIDE
    tiles = np.array([[cell(a, p, n * n, n) for p in known] for a in known])
    save_matrix(examples, tiles, of_known, "row: actual\ncolumn:\npredicted")
    n_columns = int(np.ceil(n_examples**0.5))
    cells = [(actual, predicted) for actual in pair for predicted in pair]
    pictures = [cell(a, p, n_examples, n_columns) for a, p in cells]
    counts = [np.count_nonzero((y == a) & (predictions == p)) for a, p in cells]
    titles = [
        f"{names[str(a)]} classified as {names[str(p)]}: {n:,}"
        for (a, p), n in zip(cells, counts, strict=True)
    ]
    save_panels(panels, pictures, titles, 2, n_columns * INCHES_PER_DIGIT * 1.3)
