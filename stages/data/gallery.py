"""Stage gallery: the first image, the first hundred, and how many of each class (In 7, 10)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load
from stages.common.params import read
from stages.output.pictures import INCHES_PER_DIGIT, save_panels, sheet
from stages.output.tables import write_csv


def class_counts(
    train: NDArray[np.uint8], test: NDArray[np.uint8], names: Mapping[str, str]
) -> dict[str, Sequence[Any]]:
    """How many images there are of each class: ``digit``, ``train`` and ``test``, (n_classes,).

    ``names`` has the name of each label, which is what column ``digit`` holds.
    """
    classes = np.union1d(train, test)
    counts = [np.bincount(labels, minlength=256)[classes] for labels in (train, test)]
    digits = [names[str(label)] for label in classes]
    return {"digit": digits, "train": counts[0].tolist(), "test": counts[1].tolist()}


def main(
    params: Path,
    train_images: Path,
    train_labels: Path,
    test_labels: Path,
    classes: Path,
    first_digit: Path,
    first_digits: Path,
    counts: Path,
) -> None:
    """Draw the two pictures and write the counts."""
    n_digits = read(params, "gallery.n_digits")
    images, labels = load(train_images), load(train_labels)
    known = json.loads(classes.read_text(encoding="utf-8"))
    noun, names = known["noun"], known["names"]
    article = "a " if noun == "digit" else ""
    title = f"The first {noun}: {article}{names[str(labels[0])]}"
    save_panels(first_digit, [images[0]], [title], 1, 3)
    n_columns = round(len(images[:n_digits]) ** 0.5)
    picture = sheet(images[:n_digits], n_columns)
    title = f"The first {len(images[:n_digits])} {noun}s"
    save_panels(first_digits, [picture], [title], 1, n_columns * INCHES_PER_DIGIT)
    write_csv(counts, class_counts(labels, load(test_labels), names))
