"""A folder of PNG or JPEG files a class, brought to MNIST's form.

Whether they are light on dark, one photo does not tell: that is decided for all.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stages.data.paper import FAINT, border, on_paper, without_paper
from stages.data.sources import Fetched, SourceError, check_is_hashed, reading

Files: TypeAlias = list[tuple[Path, int]]
Polarity: TypeAlias = Literal["auto", "light_on_dark", "dark_on_light", "each"]

SIDE = 28
# What systems leave, as .dvcignore has it; names that start with a dot are theirs, too.
LEFT_BEHIND = {"Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir"}


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder")
    if folder.is_symlink():
        raise SourceError(
            f"{folder} is a link, behind which DVC sees nothing: copy the folder here"
        )
    check_is_hashed(folder)
    names = sorted(path.name for path in folder.iterdir())
    inside = [folder / name for name in names if name[0] != "." and name not in LEFT_BEHIND]
    if not inside:
        raise SourceError(f"{folder} is empty")
    return inside


def _of_classes(part: Path, labels: dict[str, int]) -> Files:
    """The files of all classes, mixed so that each has its share of any first part of them."""
    files: list[tuple[float, int, Path]] = []
    for name, label in labels.items():
        inside = _inside(part / name)
        files += [((i + 0.5) / len(inside), label, path) for i, path in enumerate(inside)]
    return [(path, label) for _, label, path in sorted(files)]


def list_photos(folder: Path) -> tuple[list[str], Files, Files]:
    """What ``train/CLASS/`` and ``test/CLASS/`` below a folder hold; ``test`` may be missing.

    Returns:
        The names of the classes, sorted, of which labels are places, or none where they are
        numbers, which are the labels; the files of ``train``, and of ``test``, with their labels.

    Raises:
        SourceError: A folder is empty, or a class only in ``test``; or DVC does not see what a
            folder holds.
    """
    check_is_hashed(folder)
    train, test = folder / "train", folder / "test"
    names = [path.name for path in _inside(train)]
    are_labels = set(names) <= set(map(str, range(256)))
    labels = {name: int(name) if are_labels else place for place, name in enumerate(names)}
    tested = [path.name for path in _inside(test)] if os.path.lexists(test) else []
    if unknown := sorted(set(tested) - set(names)):
        raise SourceError(f"{test} has {unknown[0]}, which {train} has not")
    of_test = _of_classes(test, {name: labels[name] for name in tested})
    return [] if are_labels else names, _of_classes(train, labels), of_test


def read_photo(path: Path) -> tuple[NDArray[np.uint8], bool]:
    """A photo upright by its EXIF orientation, shrunk to at most 28 pixels a side.

    Returns:
        Its grey levels, (height, width), its aspect kept; and whether it had 28 × 28 pixels, as
        MNIST's images have.

    Raises:
        SourceError: The file is no PNG or JPEG, damaged, too thin, of 16 bits of grey, or of more
            pixels than Pillow trusts.
    """
    with reading(path, "PNG or JPEG"), Image.open(path, formats=("PNG", "JPEG")) as file:
        image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I"):
            # Whose largest level may be 255, 4095 or 65535.
            raise ValueError("it has 16 bits of grey, save it with 8")
        grey = on_paper(image).convert("L")
        small = ImageOps.contain(grey, (SIDE, SIDE), Image.Resampling.LANCZOS)
        if not all(small.size):
            raise ValueError(f"{grey.width} × {grey.height} pixels are too thin")
        return np.asarray(small), grey.size == (SIDE, SIDE)


def is_dark_on_light(levels: NDArray[np.uint8]) -> bool:
    """Whether a photo looks so by its border; what touches it makes a few look like the inverse."""
    return bool(border(levels).mean() > (float(levels.min()) + float(levels.max())) / 2)


def read_photos(folder: Path, polarity: Polarity) -> Fetched:
    """The photos of :func:`list_photos`, those of ``train`` first, as MNIST has its images.

    They are light on dark, (28, 28), their aspect kept, in the middle, and paper is black. Those
    that are blank, or taken for the inverse of what they look like, are told.
    """
    classes, train, test = list_photos(folder)
    paths, labels = zip(*train, *test, strict=True)
    photos = [read_photo(path) for path in paths]
    are_blank = np.array([np.ptp(levels) < FAINT for levels, _ in photos])
    if are_blank.any():
        _tell(f"{are_blank.sum():,} of {len(paths):,} pictures are blank", paths, are_blank)
    look = np.array([is_dark_on_light(levels) for levels, _ in photos])
    all_are = look.mean() > 0.5 if polarity == "auto" else polarity == "dark_on_light"
    taken = look if polarity == "each" else np.full(len(look), all_are)
    if (look != taken).any():
        _tell(
            f"{(~look).sum():,} pictures look light on dark and {look.sum():,} dark on light, but "
            f"{taken.sum():,} are inverted (data.polarity: {polarity})",
            paths,
            look != taken,
        )
    images = []
    for (levels, is_form), inverse in zip(photos, taken, strict=True):
        light = 255 - levels if inverse else levels
        ink = without_paper(light)
        # Else the border is what is drawn, and not paper.
        if not is_form and ink.max() > -ink.min():
            light = np.clip(ink, 0, 255).astype(np.uint8)
        images.append(np.asarray(ImageOps.pad(Image.fromarray(light), (SIDE, SIDE))))
    n_train = len(train) if test else None
    return Fetched(np.stack(images), np.array(labels, np.uint8), classes, n_train)


def _tell(what: str, paths: Sequence[Path], these: NDArray[np.bool_]) -> None:
    print(f"  {what}: the first is {paths[int(these.argmax())]}", file=sys.stderr, flush=True)
