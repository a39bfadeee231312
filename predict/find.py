"""Find the digits of a picture, and bring each to MNIST's form.

Ink is what differs from the paper, darker or lighter, and is narrower than a shadow or a table. Of
that, what is far longer than a digit is a rule or the wall of a box.
"""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

from stages.common.errors import UserError
from stages.data.paper import FAINT, on_paper, without_paper

MAX_DIGITS = 60
# Pixels of the longer side: of what is looked at, of what the paper's shade is estimated from, and
# of a picture all of whose ink is one digit, as MNIST's are.
SIDE, COARSE_SIDE, SMALL = 1500, 100, 32
# The width from which on nothing is ink: as a share of the longer side, and in strokes.
WIDEST_STROKE, STROKES = 0.25, 3
# A sheet of paper on a table: its least share of the picture, and of the rectangle around it; and
# the light of the table as a share of its own.
SHEET, RECTANGLE, TABLE = 0.15, 0.85, 0.5
# Multiples of the noise by which ink differs from paper at least.
NOISES = 5
# Shares of a stroke's full ink: what is blank, where a stroke ends, and what is full.
BLANK, EDGE, FULL = 0.2, 0.35, 0.8
# The share of the ink's level below which a mark is paper, and how much wider than high a digit is
# at most.
PALE, WIDEST = 0.4, 6
# How much longer than a digit a rule is, and its least share of the grid that it is in; and how
# much darker than a rule the stroke is that crosses it.
RULE, SPAN, DARKER = 1.2, 0.7, 2
# Columns in which a line rises by no more than a pixel: by up to 14°.
STEP = 4
# Shares of the digits' height: what is a speck before pieces are joined and after, what is a piece
# and no digit if another is near, how near that is, and how near one of two above each other is.
DUST, SPECK, PIECE, NEAR, ABOVE = 0.06, 0.3, 0.6, 0.25, 0.12
# The slope of a line of digits, at most, and the share of a box from which on another overlaps it.
SLOPE, OVERLAP = 0.25, 0.1
# The width of a thin stroke, as a share of a digit's longer side: of MNIST's, few are thinner.
STROKE = 0.12
BOX, MIDDLE, FORM = 20, 14, 28
# Pixels that share a side or a corner.
TOUCHING = np.ones((3, 3), dtype=bool)


class Digit(NamedTuple):
    """A digit: its place in the picture, in pixels, and its ink, from 0 to 1, (height, width)."""

    box: tuple[slice, slice]
    ink: NDArray[np.float32]
    is_part: bool = False
    """Whether it may go on beyond the picture's edge, or in another's box; if it is not alone."""


# Connected ink: its numbers, from 1; the slices of each, and their ends, (n, 2, 2).
Components = tuple[NDArray[np.signedinteger], list[tuple[slice, ...]], NDArray[np.intp]]


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The first picture of a file as (height, width, 3), upright, on paper, at most 1,500 wide.

    Raises:
        UserError: There is no such file, it is no picture, it is damaged or too large.
    """
    # To open it would wait, perhaps for ever.
    if path.is_fifo() or path.is_char_device():
        raise UserError("is no file, but a pipe or a device: save the picture to a file")
    try:
        with warnings.catch_warnings():
            # Odd metadata, and up to twice as many pixels as Pillow warns of.
            warnings.simplefilter("ignore")
            with Image.open(path) as file:
                # Of a JPEG, only an eighth of the pixels may then be decoded.
                file.draft("RGB", (SIDE, SIDE))
                image = ImageOps.exif_transpose(file)
    except UnidentifiedImageError as error:
        raise UserError("not a picture, or HEIC: save that as JPEG first") from error
    # Pillow's readers raise errors of many kinds for files that are damaged or too large.
    except Exception as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot be read: {reason}") from error
    return _on_paper(image)


def _on_paper(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode[0] in "IF":
        # Pillow would cut off what is above 255.
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        values -= values.min()
        image = Image.fromarray((values * (255 / max(values.max(), 1))).astype(np.uint8))
    image = on_paper(image).convert("RGB")
    image.thumbnail((SIDE, SIDE), reducing_gap=2)
    return np.asarray(image)


def _components(labels: NDArray[np.signedinteger]) -> Components:
    boxes = ndimage.find_objects(labels)
    ends = [[(side.start, side.stop) for side in box] for box in boxes]
    return labels, boxes, np.array(ends, dtype=np.intp).reshape(-1, 2, 2)


def differences(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """By how many grey levels each pixel of (height, width, 3) differs from the paper; what is ink.

    Returns:
        Two of (height, width); the first is about 0 on paper, and above it towards the ink.
    """
    image = np.asarray(Image.fromarray(picture).convert("L"))
    grey = ndimage.gaussian_filter(image.astype(np.float32), max(image.shape) / 1000)
    coarse = _resized(grey, _coarse(image.shape), Image.Resampling.BOX)
    sheet = _sheet(coarse)
    coarse = np.where(sheet, coarse, np.median(coarse[sheet]))
    rest = coarse - ndimage.median_filter(coarse, COARSE_SIDE // 4, mode="nearest")
    # Ink is the lesser part, and far from the paper.
    if (rest.astype(np.float64) ** 3).sum() > 0:
        grey = -grey
    is_paper = _resized(sheet, image.shape, Image.Resampling.NEAREST)
    wide = WIDEST_STROKE * max(image.shape)
    while True:
        found = _from_paper(grey, is_paper, int(wide))
        least = max(FAINT, NOISES * _noise(found[is_paper])[1])
        if not (found > least).any():
            raise UserError("a blank page: nothing on it differs from the paper")
        ink = _without_rules(found, least)
        half_widths = _half_widths(ink)
        narrower = STROKES * 2 * np.quantile(half_widths, 0.75) if half_widths.size else np.inf
        if narrower > wide / 2:
            return found, ink
        wide = narrower


def _coarse(shape: tuple[int, ...]) -> tuple[int, int]:
    height, width = (max(round(side * COARSE_SIDE / max(shape)), 1) for side in shape)
    return height, width


def _resized(values: NDArray, shape: tuple[int, ...], way: Image.Resampling) -> NDArray:
    return np.asarray(Image.fromarray(values).resize((shape[1], shape[0]), way))


def _from_paper(
    grey: NDArray[np.float32], is_paper: NDArray[np.bool_], side: int
) -> NDArray[np.float32]:
    """How much darker than the paper a picture is, where it is so in less than a square's width.

    Paper is what is left if all squares that are no wider are as light as the lightest in them;
    beyond the picture's edge, all is dark.
    """
    half = side // 2
    paper = ndimage.grey_closing(np.pad(grey, half, constant_values=-np.inf), (2 * half + 1,) * 2)
    found = paper[half : half + grey.shape[0], half : half + grey.shape[1]] - grey
    middle, noise = _noise(found[is_paper])
    # That is from the lightest paper near: how far other paper is from it tells what is near.
    free = is_paper & (found < middle + max(3 * noise, FAINT / 2))
    shade, share = (
        ndimage.gaussian_filter(
            _resized(values.astype(np.float32), _coarse(grey.shape), Image.Resampling.BOX),
            COARSE_SIDE / 12,
        )
        for values in (found * free, free)
    )
    rest = _resized(shade / np.maximum(share, 1e-6), grey.shape, Image.Resampling.BICUBIC)
    relief: NDArray[np.float32] = (found - rest) * is_paper
    return relief


def _sheet(coarse: NDArray) -> NDArray[np.bool_]:
    """Where the paper is, if it lies on a dark table: a bright rectangle, or a part of one."""
    everywhere = np.ones(coarse.shape, dtype=bool)
    labels, _ = ndimage.label(coarse > (coarse.min() + coarse.max()) / 2)
    largest = np.bincount(labels.ravel(), minlength=2)[1:].argmax() + 1
    sheet = ndimage.binary_fill_holes(labels == largest)
    if not SHEET < sheet.mean() < 1:
        return everywhere
    y, x = np.nonzero(sheet)
    turns = np.deg2rad(np.arange(0, 90, 5))[:, None]
    along, across = x * np.cos(turns) + y * np.sin(turns), y * np.cos(turns) - x * np.sin(turns)
    area = ((np.ptp(along, axis=1) + 1) * (np.ptp(across, axis=1) + 1)).min()
    is_dark = np.median(coarse[~sheet]) < TABLE * np.median(coarse[sheet])
    if not (is_dark and sheet.sum() > RECTANGLE * area):
        return everywhere
    return ndimage.binary_erosion(sheet, iterations=2, border_value=1)


def _noise(values: NDArray[np.float32]) -> tuple[float, float]:
    """The middle and the standard deviation of what is not ink, which is the greater values."""
    low, middle = np.quantile(values, [0.05, 0.3])
    return float(middle), float(middle - low) / 1.12


def _half_widths(ink: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Those of strokes, at the points that are farthest from their edges, (n,)."""
    depth = ndimage.distance_transform_edt(ink)
    widths: NDArray[np.float64] = depth[ink & (depth == ndimage.maximum_filter(depth, 3))]
    return widths


def _without_rules(found: NDArray[np.float32], least: float) -> NDArray[np.bool_]:
    """What differs from paper by more than the least, but for rules and the walls of boxes.

    Those are lines that are longer than a digit, of what goes on beyond the picture's edge, or is
    around other ink.
    """
    ink = found > least
    # At first, the grid is whole.
    for span in (SPAN, 0):
        labels, boxes, ends = _components(ndimage.label(ink, TOUCHING)[0])
        numbers = np.flatnonzero(np.ptp(ends, axis=2).max(axis=1) > max(ink.shape) / 50)
        starts, stops = ends[numbers].transpose(2, 0, 1)
        sides = stops - starts
        sizes = sides.max(axis=1)
        is_grid = np.minimum(starts, np.array(ink.shape) - stops).min(axis=1) <= 1
        is_inside = (starts[:, None] < starts) & (stops[:, None] > stops)
        is_grid |= np.any(is_inside.all(axis=2), axis=1)
        # A wall that is left, or a 1, tells nothing of how large digits are.
        free = sizes[~is_grid & (sides.min(axis=1) > sizes / 4)]
        height = float(np.quantile(free, 0.9)) if free.size else 0.0
        if not (height or span):
            break
        rules = np.zeros_like(ink)
        for i, size in zip(numbers[is_grid], sizes[is_grid], strict=True):
            own, length = labels[boxes[i]] == i + 1, max(RULE * height, span * size)
            rules[boxes[i]] |= _lines(own, length) | _lines(own.T, length).T
        if rules.any():
            # Where a stroke crosses a fainter rule, it stays.
            ink &= ~rules | (found > DARKER * np.median(found[rules]))
    return ink


def _lines(ink: NDArray[np.bool_], length: float) -> NDArray[np.bool_]:
    """Where ink is a line at least so long, level to within 14°; what crosses it is none."""
    height, width = ink.shape
    blocks = np.pad(ink, ((0, 0), (0, -width % STEP))).reshape(height, -1, STEP)
    steps = np.any(blocks, axis=2).T
    n_steps: NDArray[np.intp] = np.full(steps.shape, -1)
    for way in (slice(None), slice(None, None, -1)):
        run = np.zeros(height, dtype=int)
        for column, total in zip(steps[way], n_steps[way], strict=True):
            run = np.where(column, ndimage.maximum_filter1d(run, 3) + 1, 0)
            total += run
    is_long: NDArray[np.bool_] = length / STEP <= np.repeat(n_steps, STEP, axis=0)[:width].T
    is_long &= ink
    rows = np.arange(height)[:, None]
    above = np.maximum.accumulate(np.where(ink, -1, rows), axis=0)
    below = np.minimum.accumulate(np.where(ink, height, rows)[::-1], axis=0)[::-1]
    thickness = below - above - 1
    if is_long.any():
        is_long &= thickness <= 2 * np.median(thickness[is_long])
    return is_long


def find_digits(picture: NDArray[np.uint8]) -> list[Digit]:
    """The digits of a picture (height, width, 3), line after line, from left to right.

    Raises:
        UserError: There is none, or more than 60.
    """
    if max(picture.shape) <= SMALL:
        return [_small(picture)]
    difference, ink = differences(picture)
    labels, boxes, _ = _components(ndimage.label(ink, TOUCHING)[0])
    if not boxes:
        raise UserError("no digit found")
    # Each stroke against its own darkest part, be it in the shade or not.
    own = [difference[box][labels[box] == i] for i, box in enumerate(boxes, 1)]
    levels = np.array([0, *(np.quantile(of_one, 0.95) for of_one in own)])
    # A ruled line is far fainter than what is written on it.
    levels[levels < PALE * np.quantile(levels[labels[labels > 0]], 0.75)] = np.inf
    labels, boxes, ends = _joined((difference > EDGE * levels[labels]) & (labels > 0))
    if not boxes:
        raise UserError("no digit found")
    if len(boxes) > MAX_DIGITS:
        raise UserError(f"{len(boxes)} digits found, but at most {MAX_DIGITS} are read: crop it")
    (starts, stops), size = ends.transpose(2, 0, 1), np.array(ink.shape)
    is_part = (np.minimum(starts, size - stops) <= 1).any(axis=1)
    shared = np.minimum(stops[:, None], stops) - np.maximum(starts[:, None], starts)
    areas = (stops - starts).prod(axis=1)
    overlaps = shared.clip(0).prod(axis=2) > OVERLAP * np.minimum(areas[:, None], areas)
    is_part |= overlaps.sum(axis=1) > 1
    # Grey at the edges, as wide as the blur.
    margin = max(round(max(ink.shape) / 500), 1)
    digits = []
    for number, box in enumerate(boxes, 1):
        wide = _widened(box, margin, ink.shape)
        own = labels[wide] == number
        full = np.quantile(difference[wide][own], 0.9)
        near = ndimage.binary_dilation(own, TOUCHING, iterations=margin)
        share = np.clip((difference[wide] / full - BLANK) / (FULL - BLANK), 0, 1) * near
        digits.append(Digit(wide, thickened(share), len(boxes) > 1 and bool(is_part[number - 1])))
    return _in_reading_order(digits)


def _widened(box: tuple[slice, ...], by: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(side.start - by, 0), min(side.stop + by, end))
        for side, end in zip(box, shape, strict=True)
    )
    return rows, columns


def _joined(ink: NDArray[np.bool_]) -> Components:
    """The components that are digits, each of one or more pieces."""
    labels, boxes, ends = _components(ndimage.label(ink, TOUCHING)[0])
    sides = np.ptp(ends, axis=2)
    # Of what is left of a ruled line, none.
    sizes = np.where(sides[:, 1] < WIDEST * sides[:, 0], sides.max(axis=1), 0)
    # That of the digits, of which a component is one if it is not far smaller than the largest.
    height = float(np.quantile(sizes[sizes >= sizes.max() / 4], 0.9))
    kept = np.flatnonzero(sizes > max(DUST * height, 1))
    if len(kept) > 10 * MAX_DIGITS:
        raise UserError(f"{len(kept)} digits found, but at most {MAX_DIGITS} are read: crop it")
    numbers = np.zeros(len(boxes) + 1, dtype=np.int32)
    numbers[kept + 1] = np.arange(len(kept)) + 1
    labels = numbers[labels]
    sizes, widths, (lefts, rights) = sizes[kept], sides[kept, 1], ends[kept, 1].T
    joins = np.zeros((len(kept), len(kept)), dtype=bool)
    for i, box in enumerate(boxes[number] for number in kept):
        place = _widened(box, int(NEAR * height) + 1, labels.shape)
        others = np.setdiff1d(labels[place], [0, i + 1]) - 1
        away = ndimage.distance_transform_edt(labels[place] != i + 1)
        gaps = np.array([away[labels[place] == other + 1].min() for other in others])
        shared = np.minimum(rights[i], rights[others]) - np.maximum(lefts[i], lefts[others])
        is_above = shared > np.minimum(widths[i], widths[others]) / 2
        is_above &= gaps <= ABOVE * height
        is_nearest = (gaps == gaps.min(initial=np.inf)) & (gaps <= NEAR * height)
        joins[i, others] = is_above | (is_nearest & (sizes[i] < PIECE * height))
    groups = np.append(0, connected_components(joins, directed=False)[1] + 1)
    for group, box in enumerate(ndimage.find_objects(groups[labels]), 1):
        if max(side.stop - side.start for side in box) < SPECK * height:
            groups[groups == group] = 0
    return _components(np.unique(groups, return_inverse=True)[1][labels])


def _small(picture: NDArray[np.uint8]) -> Digit:
    """The digit of a picture as small as MNIST's are: all that is not as its border is."""
    ink = abs(without_paper(np.asarray(Image.fromarray(picture).convert("L"))))
    if ink.max() < FAINT:
        raise UserError("a blank page: nothing on it differs from the paper")
    return Digit((slice(0, ink.shape[0]), slice(0, ink.shape[1])), ink)


def _in_reading_order(digits: list[Digit]) -> list[Digit]:
    """Lines from above, each from left to right, be they level, or rise or fall all alike."""
    starts, stops = np.array([[(s.start, s.stop) for s in d.box] for d in digits]).T.swapaxes(1, 2)
    y, x = ((starts + stops) / 2).T
    down, right = y - y[:, None], x - x[:, None]
    beside = abs(down) < SLOPE * right
    middles = y - (np.median(down[beside] / right[beside]) if beside.any() else 0) * x
    halves = (stops - starts)[:, 0] / 2
    lines: list[list[int]] = []
    for i in np.argsort(middles):
        if lines and middles[i] < np.median((middles + halves)[lines[-1]]):
            lines[-1].append(i)
        else:
            lines.append([i])
    return [digits[i] for line in lines for i in sorted(line, key=lambda i: x[i])]


def thickened(ink: NDArray) -> NDArray[np.float32]:
    """Ink (height, width), from 0 to 1, as of a pen that is not thinner than MNIST's are.

    To nearest neighbours, a digit of a fine pen is unlike any other. The result has a margin on
    each side, in which the strokes grow.
    """
    width = 2 * float(np.median(_half_widths(ink > 0.5))) - 1
    radius = (STROKE * max(ink.shape) - width) / 2
    if radius <= 0:
        return ink.astype(np.float32)
    grown = np.pad(ink, int(radius) + 2)
    away = ndimage.distance_transform_edt(grown <= 0.5)
    thick: NDArray[np.float32] = np.maximum(grown, np.clip(radius + 1 - away, 0, 1))
    return thick.astype(np.float32)


def mnist_form(ink: NDArray) -> NDArray[np.uint8]:
    """A digit's ink, (height, width) from 0 (blank) up, as one of MNIST's images, (28, 28).

    As its makers did (http://yann.lecun.com/exdb/mnist): "size normalized to fit in a 20x20 pixel
    box while preserving their aspect ratio", with grey levels, and "centered in a 28x28 image by
    computing the center of mass of the pixels": it is at most half a pixel from pixel (14, 14), if
    the digit is not cut off then.
    """
    rows, columns = np.nonzero(ink)
    cropped = ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = BOX / max(cropped.shape)
    height, width = (max(round(side * scale), 1) for side in cropped.shape)
    image = Image.fromarray((cropped * (255 / cropped.max())).astype(np.float32))
    small = np.asarray(image.resize((width, height), Image.Resampling.HAMMING))
    small = np.clip(small * (255 / small.max()), 0, 255).round().astype(np.uint8)
    y, x = (MIDDLE - c for c in ndimage.center_of_mass(small))
    top, left = (min(max(round(s), 0), FORM - n) for s, n in ((y, height), (x, width)))
    form = np.zeros((FORM, FORM), dtype=np.uint8)
    form[top : top + height, left : left + width] = small
    return form
