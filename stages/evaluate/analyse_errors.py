"""Stage analyse_errors: which classes are taken for which (In 52-59)."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from stages.common.arrays import load_group, load_set
from stages.common.params import read
from stages.output.pictures import INCHES_PER_DIGIT, save_matrix, save_panels, sheet
from stages.output.tables import write_csv

EXAMPLES_A_SIDE = 3
# Of still_wrong.png.
MAX_PICTURES, COLUMNS, INCHES = 60, 8, 1.0


def long_form(matrix: NDArray, classes: NDArray, name: str, diagonal: bool) -> dict[str, NDArray]:
    """A confusion matrix of named ``classes`` as columns ``actual``, ``predicted`` and ``name``."""
    rows, columns = np.nonzero(diagonal | ~np.eye(len(matrix), dtype=bool))
    return {"actual": classes[rows], "predicted": classes[columns], name: matrix[rows, columns]}


def panel(
    images: NDArray[np.uint8], chosen: NDArray[np.bool_], n_examples: int, n_columns: int
) -> NDArray[np.uint8]:
    """The first ``n_examples`` chosen images (n, 28, 28) in one picture, blank where missing."""
    examples = np.zeros((n_examples, *images.shape[1:]), dtype=images.dtype)
    first = np.flatnonzero(chosen)[:n_examples]
    examples[: len(first)] = images[first]
    return sheet(examples, n_columns)


def still_wrong(
    images: NDArray[np.uint8], y: NDArray, answers: NDArray, names: Mapping[str, str]
) -> tuple[list[NDArray], list[str]]:
    """The first images (n, 28, 28) that are classified wrongly, and what to write above each.

    Whole lines of them, the rest blank; a blank line where nothing is wrong.
    """
    rows = np.flatnonzero(answers != y)[:MAX_PICTURES]
    blank = -len(rows) % COLUMNS if len(rows) else COLUMNS
    titles = [f"{names[str(y[row])]}, not {names[str(answers[row])]}" for row in rows]
    return [*images[rows], *np.zeros((blank, 28, 28))], titles + [""] * blank


def main(
    params: Path,
    train: Path,
    test: Path,
    classes: Path,
    model: Path,
    best: Path,
    plots: Path,
    pictures: Path,
) -> None:
    """Write the confusion matrix, its errors as shares of each class, and pictures of them.

    ``errors.png`` has a picture of each of the four cells of a pair of classes, ``confusions.png``
    a few images of every cell, and ``still_wrong.png`` test images that the best model gets wrong.

    Args:
        params: The file of parameters.
        train: The folder of the training set.
        test: That of the test set.
        classes: The names of the classes.
        model: The folder of the model, with its ``out_of_fold.npz``.
        best: That of the best model, with its ``predictions.npz``.
        plots: The folder of ``confusion.csv`` and ``errors.csv``.
        pictures: The folder of the PNG.
    """
    pair, n_examples = read(params, "errors.pair"), read(params, "errors.n_examples")
    (images, y), group = load_set(train), load_group(model / "out_of_fold.npz")
    known = group["classes"]
    names = json.loads(classes.read_text(encoding="utf-8"))["names"]
    class_names = np.array([names[str(label)] for label in known])
    predictions = known[group["scores"].argmax(axis=1)]
    matrix = confusion_matrix(y, predictions, labels=known)
    write_csv(plots / "confusion.csv", long_form(matrix, class_names, "count", diagonal=True))
    shares = matrix / matrix.sum(axis=1, keepdims=True)
    write_csv(plots / "errors.csv", long_form(shares, class_names, "share", diagonal=False))

    def cell(actual: int, predicted: int, n_examples: int, n_columns: int) -> NDArray[np.uint8]:
        return panel(images, (y == actual) & (predictions == predicted), n_examples, n_columns)

    n = EXAMPLES_A_SIDE
    tiles = np.array([[cell(a, p, n * n, n) for p in known] for a in known])
    save_matrix(pictures / "confusions.png", tiles, class_names, "row: actual\ncolumn:\npredicted")
    n_columns = int(np.ceil(n_examples**0.5))
    cells = [(actual, predicted) for actual in pair for predicted in pair]
    panels = [cell(a, p, n_examples, n_columns) for a, p in cells]
    titles = [
        f"{names[str(a)]} classified as {names[str(p)]}: {np.sum((y == a) & (predictions == p)):,}"
        for a, p in cells
    ]
    size = n_columns * INCHES_PER_DIGIT * 1.3
    save_panels(pictures / "errors.png", panels, titles, 2, size)
    (test_images, y_test), answers = load_set(test), load_group(best / "predictions.npz")
    wrong = still_wrong(test_images, y_test, answers["predictions"], names)
    save_panels(pictures / "still_wrong.png", *wrong, COLUMNS, INCHES)
