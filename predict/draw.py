"""prediction.png: a picture with its digits framed, and beside it what each was decided by."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from predict.classify import Answer, Classifier
from predict.find import Digit, mnist_form

# Legible on white, and as fill below white; told apart by the colour-blind.
COLOURS = {"sure": "#0b6e4f", "unsure": "#b34700", "unlike any": "#a3195b"}
BOLD: dict[str, Any] = {"fontsize": 10, "weight": "bold"}
SMALL: dict[str, Any] = {"fontsize": 9}
# Inches of a tile. In tiles: a card with its text above, and the gap between what the classifier
# saw and its neighbours.
TILE, TITLE, NAME, CARD_GAP, GAP = 0.8, 0.56, 0.26, 0.25, 0.3


def save_prediction(
    path: Path,
    picture: NDArray[np.uint8],
    digits: list[Digit],
    answers: list[Answer],
    classifier: Classifier,
) -> None:
    """Write the PNG of a picture (height, width, 3), its digits, and the classifier's answers."""
    n, n_shown = len(answers), len(answers[0].neighbors)
    n_columns = max(round((n / 2.5) ** 0.5), 1)
    n_rows = -(-n // n_columns)
    wide, tall = 1 + GAP + n_shown + 2 * CARD_GAP, 1 + TITLE + NAME + CARD_GAP
    cards = (n_columns * wide * TILE, n_rows * tall * TILE)
    height = max(cards[1], 4.5)
    left = min(max(height * picture.shape[1] / picture.shape[0], 3), max(8, cards[0] * 0.6))
    figure = Figure(figsize=(left + cards[0] + 0.4, height + 0.3), facecolor="white")
    width, height = figure.get_size_inches()
    ax = figure.add_axes((0.15 / width, 0.15 / height, left / width, 1 - 0.3 / height))
    ax.imshow(picture)
    ax.set(xticks=[], yticks=[], anchor="N")
    ax.spines[:].set_color("lightgray")
    for i, (digit, answer) in enumerate(zip(digits, answers, strict=True), 1):
        _frame(ax, digit.box, i, COLOURS[answer.verdict])
    top = 1 - (0.15 + cards[1]) / height
    ax = figure.add_axes(((left + 0.3) / width, top, cards[0] / width, cards[1] / height))
    ax.set(xlim=(0, n_columns * wide), ylim=(n_rows * tall, 0))
    ax.axis("off")
    for i, (digit, answer) in enumerate(zip(digits, answers, strict=True)):
        column, row = divmod(i, n_rows)
        x, y, colour = column * wide + CARD_GAP, row * tall, COLOURS[answer.verdict]
        _text(ax, x, y + 0.15, f"{i + 1}: {classifier.describe(answer)}", color=colour, **BOLD)
        _text(ax, x, y + 0.4, answer.reasons(), color="dimgray", **SMALL)
        form = mnist_form(digit.ink)
        _tile(ax, form, "as seen", x, y + TITLE, colour, color="dimgray", **SMALL)
        for place, index in enumerate(answer.neighbors, 1):
            image, label = classifier.images[index], int(classifier.labels[index])
            style = {"color": colour} | BOLD if label == answer.label else SMALL
            at = x + place + GAP, y + TITLE
            _tile(ax, image, classifier.names[label], *at, "lightgray", **style)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, format="png", metadata={"Software": None})


def _frame(ax: Axes, box: tuple[slice, slice], number: int, colour: str) -> None:
    (top, bottom), (left, right) = ((side.start, side.stop) for side in box)
    halo = [withStroke(linewidth=4, foreground="white")]
    style: dict[str, Any] = {"edgecolor": colour, "linewidth": 2, "path_effects": halo}
    ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, **style))
    label = {"boxstyle": "square,pad=0.15", "facecolor": colour, "edgecolor": "white"}
    ax.text(left, top, str(number), color="white", va="bottom", bbox=label, **BOLD)


def _text(ax: Axes, x: float, y: float, text: str, **style: Any) -> None:
    ax.text(x, y, text, va="center", parse_math=False, **style)


def _tile(
    ax: Axes, image: NDArray[np.uint8], name: str, x: float, y: float, edge: str, **style: Any
) -> None:
    """An image (28, 28), the colour of its edge, and its name below in a style."""
    left, right, top, bottom = x + 0.04, x + 0.96, y + 0.04, y + 0.96
    shades: dict[str, Any] = {"cmap": "binary", "vmin": 0, "vmax": 255, "interpolation": "nearest"}
    ax.imshow(image, extent=(left, right, bottom, top), aspect="auto", **shades)
    ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=edge))
    _text(ax, x + 0.5, y + 1 + NAME / 2, name, ha="center", **style)
