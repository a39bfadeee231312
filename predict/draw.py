"""prediction.png: a picture with its digits framed, and beside it what each was decided by."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Stroke
from numpy.typing import NDArray

from predict.classify import Answer, Classes, reasons, verdict

# Legible on white, and as fill below white; told apart by the colour-blind.
COLOURS = {"sure": "#0b6e4f", "unsure": "#b34700", "unlike any": "#a3195b"}
FONTS = Path(get_data_path(), "fonts", "ttf")
BOLD = FontProperties(fname=FONTS / "DejaVuSans-Bold.ttf", size=10)
SMALL = FontProperties(fname=FONTS / "DejaVuSans.ttf", size=9)
# Inches of a tile. In tiles: a card with its text above, and the gap between what the classifier
# saw and its neighbours.
TILE, TITLE, NAME, CARD_GAP, GAP = 0.8, 0.56, 0.26, 0.25, 0.3
MAX_NEIGHBORS = 8


def save_prediction(
    path: Path,
    picture: NDArray[np.uint8],
    boxes: Sequence[tuple[slice, slice]],
    forms: NDArray[np.uint8],
    answers: Sequence[Answer],
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    classes: Classes,
) -> None:
    """Write the PNG.

    Args:
        path: The PNG file.
        picture: (height, width, 3).
        boxes: The rows and columns of each digit in it.
        forms: (n, 28, 28), the digits as the classifier saw them.
        answers: One each.
        images: The training images (m, 28, 28) that ``answers`` index.
        labels: (m,), their digits.
        classes: The names of the digits.
    """
    n = len(answers)
    n_shown = min(len(answers[0].neighbors), MAX_NEIGHBORS)
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
    for number, (box, answer) in enumerate(zip(boxes, answers, strict=True), 1):
        _frame(ax, box, number, COLOURS[answer.verdict])
    top = 1 - (0.15 + cards[1]) / height
    ax = figure.add_axes(((left + 0.3) / width, top, cards[0] / width, cards[1] / height))
    ax.set(xlim=(0, n_columns * wide), ylim=(n_rows * tall, 0))
    ax.axis("off")
    for i, (form, answer) in enumerate(zip(forms, answers, strict=True)):
        column, row = divmod(i, n_rows)
        x, y, colour = column * wide + CARD_GAP, row * tall, COLOURS[answer.verdict]
        ax.text(
            x,
            y + 0.15,
            f"{i + 1}: {verdict(answer, classes)}",
            fontproperties=BOLD,
            color=colour,
            va="center",
            parse_math=False,
        )
        ax.text(x, y + 0.4, reasons(answer), fontproperties=SMALL, color="dimgray", va="center")
        _tile(ax, form, x, y + TITLE, colour, 2)
        _name(ax, "as seen", x, y, "dimgray", SMALL)
        for place, index in enumerate(answer.neighbors[:n_shown], 1):
            agrees = labels[index] == answer.label
            _tile(ax, images[index], x + place + GAP, y + TITLE, "lightgray", 1)
            style = (colour, BOLD) if agrees else ("black", SMALL)
            _name(ax, classes.names[int(labels[index])], x + place + GAP, y, *style)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, format="png", metadata={"Software": None})


def _frame(ax: Axes, box: tuple[slice, slice], number: int, colour: str) -> None:
    rows, columns = box
    corner, size = (
        (columns.start, rows.start),
        (columns.stop - columns.start, rows.stop - rows.start),
    )
    halo = [Stroke(linewidth=4, foreground="white"), Stroke(linewidth=2, foreground=colour)]
    ax.add_patch(Rectangle(corner, *size, fill=False, path_effects=halo))
    ax.annotate(
        str(number),
        corner,
        xytext=(0, 2),
        textcoords="offset points",
        ha="left",
        va="bottom",
        color="white",
        fontproperties=BOLD,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": colour, "edgecolor": "white"},
    )


def _name(ax: Axes, text: str, x: float, y: float, colour: str, font: FontProperties) -> None:
    place = (x + 0.5, y + TITLE + 1 + NAME / 2)
    ax.text(
        *place,
        text,
        fontproperties=font,
        color=colour,
        ha="center",
        va="center",
        parse_math=False,
    )


def _tile(ax: Axes, image: NDArray[np.uint8], x: float, y: float, colour: str, width: int) -> None:
    inset = 0.04
    extent = (x + inset, x + 1 - inset, y + 1 - inset, y + inset)
    ax.imshow(
        image,
        cmap="binary",
        vmin=0,
        vmax=255,
        extent=extent,
        interpolation="nearest",
        aspect="auto",
    )
    side = 1 - 2 * inset
    frame = Rectangle(
        (x + inset, y + inset), side, side, fill=False, edgecolor=colour, linewidth=width
    )
    ax.add_patch(frame)
