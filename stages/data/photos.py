"""A folder of PNG or JPEG files a class, brought to MNIST's form.

What one photo does not tell is decided for all: whether they are light on dark, how far 16 bits go,
and which paper is behind what is transparent.
"""

import os
import struct
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from stages.data.paper import without_paper
from stages.data.sources import Fetched, SourceError, check_is_hashed

Files: TypeAlias = list[tuple[Path, int]]
Polarity: TypeAlias = Literal["auto", "light_on_dark", "dark_on_light", "each"]

SIDE = 28
# Of 255 levels: a photo whose pixels differ by less is blank.
FAINT = 16
# Of the name of a class, as check_params has it for data.classes.
MAX_CHARACTERS = 30
# What Pillow raises of a damaged file, or of one that is too large.
DAMAGED: tuple[type[Exception], ...] = (
    *(AttributeError, OSError, SyntaxError, TypeError, ValueError, Warning, struct.error),
    Image.DecompressionBombError,
)
# What systems leave, as .dvcignore has it; names that start with a dot are theirs, too.
LEFT_BEHIND = {"Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir"}


class Photo(NamedTuple):
    """A photo shrunk to at most 28 pixels a side, its aspect kept."""

    grey: NDArray
    """(height, width), levels: of 0 to 255, or of 16 bits, as they are."""
    opacity: NDArray[np.uint8]
    """As grey, or one for all pixels; 255 is opaque."""
    deepest: int
    """The largest level of 16 bits; 0 if the photo has 8."""
    is_form: bool
    """Whether it had 28 × 28 pixels, as MNIST's images have."""


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder")
    if folder.is_symlink():
        raise SourceError(
            f"{folder} is a link, behind which DVC sees nothing: copy the folder here"
        )
    check_is_hashed(folder)
    names = sorted(path.name for path in folder.iterdir())
    return [folder / name for name in names if name[0] != "." and name not in LEFT_BEHIND]


def _of_classes(part: Path, labels: dict[str, int]) -> Files:
    """The files of all classes, mixed so that each has its share of any first part of them."""
    files: list[tuple[float, int, Path]] = []
    for name, label in labels.items():
        inside = _inside(part / name)
        if not inside:
            raise SourceError(f"{part / name} is empty")
        files += [((i + 0.5) / len(inside), label, path) for i, path in enumerate(inside)]
    return [(path, label) for _, label, path in sorted(files)]


def list_photos(folder: Path) -> tuple[list[str], Files, Files]:
    """What ``train/CLASS/`` and ``test/CLASS/`` below a folder hold; ``test`` may be missing.

    Returns:
        The names of the classes, sorted, of which labels are places, or none where they are
        numbers, which are the labels; the files of ``train``, and of ``test``, with their labels.

    Raises:
        SourceError: There are not 2 to 256 classes, one is empty, only in ``test``, or has a name
            that cannot be shown; or DVC does not see what a folder holds.
    """
    check_is_hashed(folder)
    train, test = folder / "train", folder / "test"
    names = [path.name for path in _inside(train)]
    if not 2 <= len(names) <= 256:
        raise SourceError(f"{train} has {len(names)} folders of pictures, but should have 2 to 256")
    for name in names:
        if not (name.strip() and name.isprintable() and len(name) <= MAX_CHARACTERS):
            raise SourceError(
                f"{train} has the folder {name!a}, but a name should be text of 1 to "
                f"{MAX_CHARACTERS} characters that can be printed"
            )
    are_labels = all(name.isascii() and name.isdigit() and int(name) <= 255 for name in names)
    labels = {name: int(name) if are_labels else place for place, name in enumerate(names)}
    if len(set(labels.values())) < len(labels):
        raise SourceError(f"{train} has two folders of one number, as 1 and 01")
    tested = [path.name for path in _inside(test)] if os.path.lexists(test) else []
    if unknown := sorted(set(tested) - set(names)):
        raise SourceError(f"{test} has {unknown[0]}, which {train} has not")
    of_test = _of_classes(test, {name: labels[name] for name in tested})
    return [] if are_labels else names, _of_classes(train, labels), of_test


def read_photo(path: Path) -> Photo:
    """A photo upright by its EXIF orientation, shrunk.

    Raises:
        SourceError: The file is no PNG or JPEG, damaged, too thin, or of more pixels than Pillow
            trusts.
    """
    if path.is_dir():
        raise SourceError(f"{path} is a folder: its pictures belong into {path.parent}")
    try:
        with (
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(path) as file,
        ):
            # An MPO is a JPEG with a second one, as some phones take it.
            if file.format not in ("PNG", "JPEG", "MPO"):
                raise SourceError(f"{path} is {file.format}, not PNG or JPEG")
            image = ImageOps.exif_transpose(file)
    except UnidentifiedImageError as error:
        raise SourceError(f"{path} is not PNG or JPEG") from error
    except DAMAGED as error:
        raise SourceError(f"{path} is damaged or too large: {error}") from error
    if image.mode.startswith("I"):
        # 16 bits, which Pillow would cut off.
        image = Image.fromarray(np.asarray(image, np.float32))
    else:
        is_clear = image.has_transparency_data
        image = image.convert("RGBA").convert("LA") if is_clear else image.convert("L")
    pixels = np.asarray(ImageOps.contain(image, (SIDE, SIDE), Image.Resampling.LANCZOS))
    if not pixels.size:
        raise SourceError(f"{path} is too thin: {image.width} × {image.height} pixels")
    grey, opacity = pixels, np.full((1, 1), 255, np.uint8)
    if image.mode == "LA":
        grey, opacity = pixels[..., 0], pixels[..., 1]
    deepest = int(np.asarray(image).max()) if image.mode == "F" else 0
    return Photo(grey, opacity, deepest, image.size == (SIDE, SIDE))


def on_paper(photos: Sequence[Photo]) -> list[NDArray[np.uint8]]:
    """The levels of all photos, from 0 to 255, on the paper of all that are transparent.

    16 bits are taken for as many as the deepest photo has, 8 at least. The paper is white; behind
    light strokes, which take less than half of the room, it is black.
    """
    most = 2 ** max(8, max(photo.deepest for photo in photos).bit_length()) - 1
    clear = [photo for photo in photos if photo.opacity.min() < 255]
    opaque = sum(int(photo.opacity.sum()) for photo in clear)
    shown = sum(int((photo.opacity.astype(np.int64) * photo.grey).sum()) for photo in clear)
    is_light = shown > 127.5 * opaque
    paper = 0 if is_light and 2 * opaque < 255 * sum(p.opacity.size for p in clear) else 255
    levels = []
    for photo in photos:
        grey = photo.grey * (255 / most if photo.deepest else 1.0)
        grey = (grey * photo.opacity + paper * (255.0 - photo.opacity)) / 255
        levels.append(np.clip(grey.round(), 0, 255).astype(np.uint8))
    return levels


def are_dark_on_light(
    levels: Sequence[NDArray[np.uint8]], are_forms: NDArray[np.bool_], polarity: Polarity
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which photos look dark on light, by their border, and which are taken so.

    ``auto`` takes all photos alike, as most of them look, since what touches the border makes a
    single one look like its inverse; those of 28 × 28 pixels, which may be MNIST's, by themselves.
    """
    borders = [np.concatenate([*each[[0, -1]], *each[1:-1, [0, -1]].T]) for each in levels]
    middles = [(float(each.min()) + float(each.max())) / 2 for each in levels]
    look = np.array([of.mean() > middle for of, middle in zip(borders, middles, strict=True)])
    if polarity == "each":
        return look, look
    taken = np.full(len(look), polarity == "dark_on_light")
    if polarity == "auto":
        for part in (are_forms, ~are_forms):
            taken[part] = 2 * look[part].sum() > part.sum()
    return look, taken


def read_photos(folder: Path, polarity: Polarity) -> Fetched:
    """The photos of :func:`list_photos`, those of ``train`` first, as MNIST has its images.

    They are light on dark, (28, 28), their aspect kept, in the middle, and paper is black. Those
    that are blank, or taken for the inverse of what they look like, are told.

    Raises:
        SourceError: All are blank.
    """
    classes, train, test = list_photos(folder)
    paths, labels = zip(*train, *test, strict=True)
    photos = [read_photo(path) for path in paths]
    levels = on_paper(photos)
    are_blank = np.array([int(each.max()) - int(each.min()) < FAINT for each in levels])
    if are_blank.all():
        raise SourceError(f"all {len(paths):,} pictures are blank, the first is {paths[0]}")
    if are_blank.any():
        _tell(f"{are_blank.sum():,} of {len(paths):,} pictures are blank", paths, are_blank)
    look, taken = are_dark_on_light(levels, np.array([p.is_form for p in photos]), polarity)
    if (look != taken).any():
        _tell(
            f"{(~look).sum():,} pictures look light on dark and {look.sum():,} dark on light, but "
            f"{taken.sum():,} are inverted (data.polarity: {polarity})",
            paths,
            look != taken,
        )
    light = [255 - each if inverse else each for each, inverse in zip(levels, taken, strict=True)]
    for i in np.flatnonzero([not photo.is_form for photo in photos]):
        ink = without_paper(light[i])
        # Else the border is what is drawn, and not paper.
        if ink.max() > -ink.min():
            light[i] = np.clip(ink, 0, 255).astype(np.uint8)
    images = [np.asarray(ImageOps.pad(Image.fromarray(each), (SIDE, SIDE))) for each in light]
    n_train = len(train) if test else None
    return Fetched(np.stack(images), np.array(labels, np.uint8), classes, n_train)


def _tell(what: str, paths: Sequence[Path], these: NDArray[np.bool_]) -> None:
    print(f"  {what}: the first is {paths[int(these.argmax())]}", file=sys.stderr, flush=True)
