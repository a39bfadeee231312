"""Pictures of images as PNG: dark ink on white paper, upright, thinly framed."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib import get_data_path
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

INCHES_PER_DIGIT = 0.6
# By its file: a name would be looked up in a list that matplotlib keeps in the home folder.
FONT_FILE = Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
FONT = FontProperties(fname=FONT_FILE, size=11)
FONT_SIZE = 26
# Of a line in a title; and in a tile of a matrix.
CHARACTERS_PER_INCH, CHARACTERS_PER_TILE = 11, 12


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


def draw_panels(
    pictures: Sequence[NDArray], titles: Sequence[str], n_columns: int, size: float
) -> Figure:
    """Titled pictures in a grid, as a figure that a notebook shows.

    Args:
        pictures: Grey levels from 0 (white) to 255 (black).
        titles: One each.
        n_columns: Pictures in a row.
        size: Width of a picture in inches.
    """
    n_rows = -(-len(pictures) // n_columns)
    lines = [fill(title, max(12, round(size * CHARACTERS_PER_INCH))) for title in titles]
    n_lines = 1 + max(line.count("\n") for line in lines)
    aspect = pictures[0].shape[0] / pictures[0].shape[1]
    figure = Figure(
        figsize=(n_columns * size, n_rows * (size * aspect + 0.35 + 0.2 * (n_lines - 1))),
        layout="constrained",
    )
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax, picture, title in zip(axes, pictures, lines, strict=True):
        ax.imshow(picture, cmap="binary", vmin=0, vmax=255, interpolation="nearest")
        # A dollar is a dollar.
        ax.set_title(title, fontproperties=FONT, parse_math=False)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_color("lightgray")
    return figure


def save_panels(
    path: Path, pictures: Sequence[NDArray], titles: Sequence[str], n_columns: int, size: float
) -> None:
    """Write the :func:`draw_panels` to ``path`` as PNG."""
    figure = draw_panels(pictures, titles, n_columns, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without its version of matplotlib, which would change the bytes and not the picture.
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _font(text: str, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow's own knows no more than ASCII. Another layout is there on some systems only.
    if text.isascii():
        return ImageFont.load_default(size)
    return ImageFont.truetype(FONT_FILE, size, layout_engine=ImageFont.Layout.BASIC)


def save_matrix(path: Path, cells: NDArray[np.uint8], names: NDArray, corner: str) -> None:
    """Write a matrix of pictures as PNG, with the names of its rows and columns.

    Args:
        path: The PNG file. It has (n + 1) × (n + 1) tiles of one size, the first of each row and
            column its name, so that a tile is found without knowing its size.
        cells: (n, n, height, width), grey levels from 0 (white) to 255 (black).
        names: (n,), of both rows and columns.
        corner: The text of the first tile.
    """
    n, _, height, width = cells.shape
    frame = 3
    tiles = np.zeros((n + 1, n + 1, height + 2 * frame, width + 2 * frame), dtype=np.uint8)
    tiles[1:, 1:, frame:-frame, frame:-frame] = cells
    tiles[1:, 1:, 0] = tiles[1:, 1:, :, 0] = 40
    picture = Image.fromarray(255 - sheet(tiles.reshape(-1, *tiles.shape[2:]), n + 1))
    draw, (_, _, tall, wide) = ImageDraw.Draw(picture), tiles.shape
    for i in range(n + 1):
        text = fill(str(names[i - 1]), CHARACTERS_PER_TILE) if i else corner
        size = FONT_SIZE if i else FONT_SIZE / 2
        font = _font(text, size)
        left, _, right, _ = draw.multiline_textbbox((0, 0), text, font=font)
        if right - left > (room := wide - 2 * frame):
            font = _font(text, size * room / (right - left))
        for x, y in {(0, i), (i, 0)}:
            center = ((x + 0.5) * wide, (y + 0.5) * tall)
            draw.text(center, text, fill=0, font=font, anchor="mm", align="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
