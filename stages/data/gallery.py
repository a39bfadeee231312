"""Stage gallery: images as they are, shifted and cleaned; how many of each class (In 7-10, 71)."""

import json
from pathlib import Path

import numpy as np

from stages.common.arrays import load_group, load_set
from stages.common.params import read
from stages.data.augment import shifted
from stages.output.pictures import INCHES_PER_DIGIT, save_panels, sheet
from stages.output.tables import write_csv

DIRECTIONS = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}


def main(
    params: Path,
    train: Path,
    test: Path,
    denoised: Path,
    classes: Path,
    pictures: Path,
    counts: Path,
) -> None:
    """Draw images as they are, shifted and cleaned of noise, and write the counts.

    Args:
        params: The file of parameters.
        train: The folder of the training set.
        test: That of the test set.
        denoised: What :mod:`stages.neighbors.denoise` has cleaned.
        classes: The names of the classes.
        pictures: The folder of the PNG to write.
        counts: The CSV file to write.
    """
    n_shown, shift = read(params, "gallery.n_digits"), read(params, "augment.picture")
    images, labels = load_set(train)
    known = json.loads(classes.read_text(encoding="utf-8"))
    noun, names = known["noun"], known["names"]
    article = "a " if noun == "digit" else ""
    title = f"The first {noun}: {article}{names[str(labels[0])]}"
    save_panels(pictures / "first_digit.png", [images[0]], [title], 1, 3)
    first = images[:n_shown]
    n_columns = round(len(first) ** 0.5)
    title, size = f"The first {len(first)} {noun}s", n_columns * INCHES_PER_DIGIT
    save_panels(pictures / "first_digits.png", [sheet(first, n_columns)], [title], 1, size)
    pixels = shift["pixels"]
    image = images[shift["image"] : shift["image"] + 1]
    moved = [
        shifted(image, right * pixels, down * pixels)[0] for right, down in DIRECTIONS.values()
    ]
    titles = ["original", *(f"{pixels} px {direction}" for direction in DIRECTIONS)]
    save_panels(pictures / "shifts.png", [image[0], *moved], titles, 5, 1.8)
    rows = load_group(denoised)
    sheets = [sheet(row, len(row)) for row in rows.values()]
    size = len(rows["clean"]) * 2 * INCHES_PER_DIGIT
    save_panels(pictures / "denoise.png", sheets, list(rows), 1, size)
    _, tested = load_set(test)
    there = np.union1d(labels, tested)
    columns = {"digit": [names[str(label)] for label in there]}
    for part, of_part in (("train", labels), ("test", tested)):
        columns[part] = np.bincount(of_part, minlength=256)[there].tolist()
    write_csv(counts, columns)
