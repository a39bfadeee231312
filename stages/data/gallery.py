"""Stage gallery: the first digit, the first hundred, and how many there are of each (In 7, 10)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load
from stages.common.params import read
from stages.output.pictures import INCHES_PER_DIGIT, save_panels, sheet
from stages.output.tables import write_csv


def class_counts(train: NDArray[np.uint8], test: NDArray[np.uint8]) -> dict[str, NDArray]:
    """How many images there are of each digit: ``digit``, ``train`` and ``test``, (n_classes,)."""
    digits = np.union1d(train, test)
    counts = [np.bincount(labels, minlength=256)[digits] for labels in (train, test)]
    return {"digit": digits, "train": counts[0], "test": counts[1]}


def main(
    params: Path,
    train_images: Path,
    train_labels: Path,
    test_labels: Path,
    first_digit: Path,
    first_digits: Path,
    counts: Path,
) -> None:
    """Draw the two pictures and write the counts."""
    n_digits = read(params, "gallery.n_digits")
    images, labels = load(train_images), load(train_labels)
    save_panels(first_digit, [images[0]], [f"The first digit: a {labels[0]}"], 1, 3)
    n_columns = round(len(images[:n_digits]) ** 0.5)
    picture = sheet(images[:n_digits], n_columns)
    title = f"The first {len(images[:n_digits])} digits"
    save_panels(first_digits, [picture], [title], 1, n_columns * INCHES_PER_DIGIT)
    write_csv(counts, class_counts(labels, load(test_labels)))
