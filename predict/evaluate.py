"""How often digits are read right: ``python -m predict.evaluate``.

MNIST's test digits as they are and as if photographed, and scikit-learn's scans of other hands.
"""

import io
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from predict.classify import Classifier
from predict.find import find_digits
from stages.common.arrays import load_set
from stages.common.errors import UserError
from stages.common.process_environment import check_cores

N_DIGITS, SEED = 300, 42
# Of a page, the axes of its rules, and the least and greatest gap between them in sizes of a cell.
RULES: dict[str, tuple[tuple[int, ...], float, float]] = {
    "ruled paper": ((0,), 0.5, 1),
    "squared paper": ((0, 1), 0.3, 0.6),
    "boxes": ((0, 1), 1, 1),
}
KINDS = "plain paper", *RULES, "a dark table", "a shadow"
# The rows and columns of the digits on a page.
SHAPES = [("plain paper", (1, 1)), *((kind, (3, 4)) for kind in KINDS)]


class Page(NamedTuple):
    """A picture (height, width, 3), and of its digits the middles (n, 2) and labels (n,)."""

    picture: NDArray[np.uint8]
    middles: NDArray[np.float64]
    labels: NDArray[np.uint8]


def page(
    kind: str, shape: tuple[int, int], digits: tuple[NDArray, NDArray], rng: np.random.Generator
) -> Page:
    """Some of the digits, (n, 28, 28) and their labels (n,), as if photographed together.

    On paper with a gradient and noise, tilted by up to 10°, or 2° if it has rules, and saved as
    JPEG; unless on a dark table or in a shadow, in half of all cases light on dark.
    """
    side, chosen = int(rng.integers(60, 130)), rng.choice(len(digits[1]), np.prod(shape))
    images, labels = (array[chosen] for array in digits)
    # Two cells around, of which a part is cut off, with the corners that have no rules.
    share = np.zeros((np.array(shape) + 4) * side)
    middles = (np.argwhere(np.ones(shape)) + 2.5) * side
    for digit, middle in zip(images, middles, strict=True):
        size = int(side * rng.uniform(0.8, 1.05))
        (top, left), ink = (middle - size / 2).astype(int), Image.fromarray(digit)
        enlarged = np.asarray(ink.resize((size, size), Image.Resampling.BICUBIC)) / 255
        place = share[top : top + size, left : left + size]
        np.maximum(place, enlarged, out=place)
    axes, low, high = RULES.get(kind, ((), 1, 1))
    gap, width, strength = side * rng.uniform(low, high), rng.integers(2, 5), rng.uniform(0.3, 1)
    end = width - 2 * side
    ruled = share[2 * side : end, 2 * side : end] if kind == "boxes" else share
    for axis in axes:
        for at in np.arange(0, ruled.shape[axis], gap).astype(int):
            rule = np.swapaxes(ruled, 0, axis)[at : at + width]
            np.maximum(rule, strength, out=rule)
    grey = 190 * (1 - share * rng.uniform(0.5, 0.85))
    if kind == "a dark table":
        grey = np.pad(grey[side:-side, side:-side], side, constant_values=rng.uniform(20, 90))
    angle = rng.uniform(-1, 1) * (2 if kind in RULES else 10)
    tilted = ndimage.rotate(grey, angle, reshape=False, order=1, cval=grey[0, 0])
    cut = rng.integers(0 if kind == "a dark table" else side // 2, side, (2, 2))
    (top, left), (bottom, right) = cut[:, 0], tilted.shape - cut[:, 1]
    grey = tilted[top:bottom, left:right]
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    centre = np.array(share.shape) / 2
    middles = (middles - centre) @ [[cos, sin], [-sin, cos]] + centre - cut[:, 0]
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-0.5 : 0.5 : grey.shape[0] * 1j, -0.5 : 0.5 : grey.shape[1] * 1j]
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    grey *= 1 + rng.uniform(0.1, 0.3) * along
    if kind == "a shadow":
        phone = (along > rng.uniform(-0.3, 0.1)) & (abs(across) < rng.uniform(0.15, 0.35))
        blur = rng.uniform(1, 0.02 * max(grey.shape))
        grey *= 1 - rng.uniform(0.3, 0.6) * ndimage.gaussian_filter(phone.astype(float), blur)
    elif kind != "a dark table" and rng.integers(2):
        grey = 255 - grey
    grey += rng.normal(0, rng.uniform(2, 9), grey.shape)
    file, image = io.BytesIO(), Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    image.convert("RGB").save(file, "JPEG", quality=int(rng.integers(50, 90)))
    return Page(np.asarray(Image.open(file)), middles, labels)


def alone(images: NDArray, labels: NDArray) -> Iterable[Page]:
    """Each of the pictures (n, height, width) as a page of one digit."""
    for image, label in zip(images, labels, strict=True):
        picture = np.repeat(image[..., None], 3, axis=2)
        yield Page(picture, np.array([image.shape]) / 2, np.array([label]))


def report(name: str, classifier: Classifier, pages: list[Page]) -> Counter[str]:
    """Print how many digits of pages are right, not sure, found, or sure and wrong; and return it.

    What is found nearest to the middle of a digit, and at most half as far as the next digit, is
    that digit; all else that is sure is sure and wrong.
    """
    read = []
    for each in pages:
        with suppress(UserError):
            read.append((each, find_digits(each.picture)))
    # All at once, which is faster.
    answers = iter(classifier.read([digit for _, digits in read for digit in digits]))
    total = Counter(digits=sum(len(each.labels) for each in pages), pages=len(pages))
    for (_, middles, labels), digits in read:
        places = [[(side.start + side.stop) / 2 for side in digit.box] for digit in digits]
        distances, between = cdist(middles, places), cdist(middles, middles)
        nearest = distances.argmin(axis=1)
        is_found = distances.min(axis=1) < between.min(initial=np.inf, where=between > 0) / 2
        of_page = list(islice(answers, len(digits)))
        is_sure = np.array([answer.verdict == "sure" for answer in of_page])
        is_right = is_found & (labels == [of_page[i].label for i in nearest])
        total["right"] += int(is_right.sum())
        total["not sure"] += int((is_found & ~is_sure[nearest]).sum())
        total["found"] += int(is_found.sum())
        total["sure and wrong"] += int(is_sure.sum() - (is_right & is_sure[nearest]).sum())
        total["pages in order"] += bool(np.all(np.diff(nearest[is_found]) > 0))
    print(f"{name}: {', '.join(f'{count} {what}' for what, count in total.items())}")
    return total


def main() -> None:
    """Print how often digits are read right, and what the verdicts are worth."""
    check_cores()
    classifier = Classifier(Path())
    test, scans = load_set(classifier.test), load_digits()
    report("test images", classifier, list(alone(*test)))
    # They are 8 × 8 of 0 to 16; the second half was never looked at while this was made.
    half = len(scans.target) // 2
    large = ndimage.zoom(np.pad(scans.images[half:], ((0, 0), (4, 4), (4, 4))), (1, 16, 16))
    large = (np.clip(large / 16, 0, 1) * 255).astype(np.uint8)
    report("scans", classifier, list(alone(large, scans.target[half:])))
    for kind, shape in SHAPES:
        rng, n_pages = np.random.default_rng(SEED), N_DIGITS // (shape[0] * shape[1])
        pages = [page(kind, shape, test, rng) for _ in range(n_pages)]
        report(f"{kind}, {shape[0]} × {shape[1]}", classifier, pages)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
