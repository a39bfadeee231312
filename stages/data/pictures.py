"""A folder of PNG or JPEG files a class, brought to MNIST's form."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stages.data.paper import without_paper
from stages.data.sources import Mnist, SourceError, check_is_hashed

SIDE = 28
# Of the name of a class, as check_params has it for data.classes.
MAX_CHARACTERS = 30
SUFFIXES = {".png", ".jpg", ".jpeg"}
# What file managers leave, as .dvcignore has it; names that start with a dot are theirs, too.
LEFT_BEHIND = {"Thumbs.db", "desktop.ini"}


class Listing(NamedTuple):
    """The pictures of a folder."""

    classes: list[str]
    """The names of the folders in train, sorted: a label is a place in this list."""
    train: list[tuple[Path, int]]
    """Files and their labels."""
    test: list[tuple[Path, int]]


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


def _of_classes(part: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """The files of all classes, mixed so that each has its share of any first part of them."""
    files: list[tuple[float, int, Path]] = []
    for label, name in enumerate(classes):
        inside = _inside(part / name)
        if not inside:
            raise SourceError(f"{part / name} is empty")
        files += [((i + 0.5) / len(inside), label, path) for i, path in enumerate(inside)]
    return [(path, label) for _, label, path in sorted(files)]


def listing(folder: Path) -> Listing:
    """What ``train/CLASS/`` and ``test/CLASS/`` below a folder hold; ``test`` may be missing.

    Raises:
        SourceError: There are not 2 to 256 classes, one is empty, only in ``test``, or has a name
            that cannot be shown; or DVC does not see what a folder holds.
    """
    check_is_hashed(folder)
    train, test = folder / "train", folder / "test"
    classes = [path.name for path in _inside(train)]
    if not 2 <= len(classes) <= 256:
        raise SourceError(
            f"{train} has {len(classes)} folders of pictures, but should have 2 to 256"
        )
    for name in classes:
        if not (name.strip() and name.isprintable() and len(name) <= MAX_CHARACTERS):
            raise SourceError(
                f"{train} has the folder {name!a}, but a name should be text of 1 to "
                f"{MAX_CHARACTERS} characters that can be printed"
            )
    tested = [path.name for path in _inside(test)] if test.exists() else []
    if unknown := sorted(set(tested) - set(classes)):
        raise SourceError(f"{test} has {unknown[0]}, which {train} has not")
    # A class that is not tested keeps its label.
    of_test = _of_classes(test, tested)
    return Listing(
        classes,
        _of_classes(train, classes),
        [(path, classes.index(tested[label])) for path, label in of_test],
    )


def _grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits, which Pillow would cut off.
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L")


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A picture as MNIST has it, light on dark: (28, 28), its aspect kept, in the middle.

    It is turned upright by its EXIF orientation, laid on white where it is transparent, and
    inverted if its border is bright; then its paper becomes black. A picture that is so already, of
    28 × 28 grey pixels, stays as it is.

    Raises:
        SourceError: The file is no PNG or JPEG, damaged, or of more pixels than Pillow trusts.
    """
    if path.is_dir():
        raise SourceError(f"{path} is a folder: its pictures belong into {path.parent}")
    if path.suffix.lower() not in SUFFIXES:
        raise SourceError(f"{path} is no PNG or JPEG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                grey = _grey(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
        raise SourceError(f"{path} is no picture: {error}") from error
    pixels = np.asarray(grey)
    border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    if border.mean() > 127.5:
        grey = ImageOps.invert(grey)
    if grey.size != (SIDE, SIDE):
        small = ImageOps.contain(grey, (SIDE, SIDE), Image.Resampling.LANCZOS)
        ink = np.clip(without_paper(np.asarray(small)), 0, 255)
        grey = Image.fromarray(ink.astype(np.uint8))
    return np.asarray(ImageOps.pad(grey, (SIDE, SIDE), Image.Resampling.LANCZOS))


def pictures(folder: Path) -> Mnist:
    """The pictures of :func:`listing`, those of ``train`` first."""
    _, train, test = listing(folder)
    images = np.stack([read_picture(path) for path, _ in train + test])
    return images, np.array([label for _, label in train + test], np.uint8)
