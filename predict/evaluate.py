"""How often the digits of pictures are read right: ``python -m predict.evaluate``.

Photos and pages of MNIST's test digits, and scikit-learn's 1,797 scans of other hands.
"""

import io
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits

from predict.classify import Classifier
from predict.find import find_digits, mnist_form
from stages.common.arrays import load_set
from stages.common.errors import UserError
from stages.common.process_environment import check_cores

N_PHOTOS, N_PAGES, SEED = 500, 25, 42
# Of a page, the digits and the rules, as axes and the least and greatest gap in heights of a cell.
N_DIGITS = 12
RULES: dict[str, tuple[tuple[int, ...], float, float]] = {
    "ruled paper": ((0,), 0.5, 1),
    "squared paper": ((0, 1), 0.3, 0.6),
    "boxes": ((0, 1), 1, 1),
}
KINDS = "a tilted line", "tilted lines", *RULES, "a dark table", "a shadow"
# scikit-learn's scans are 8 × 8; those of the second half were never looked at while this was made.
ENLARGED, MARGIN = 16, 4


def photo(digit: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A digit (28, 28) as if photographed, (height, width, 3).

    Enlarged, tilted by up to 10°, anywhere on a page with a gradient and noise behind, dark on
    light or light on dark, saved as JPEG.
    """
    side = int(rng.integers(120, 360))
    ink = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    ink = ink.rotate(rng.uniform(-10, 10), Image.Resampling.BICUBIC)
    height, width = (int(n) for n in rng.integers(400, 900, 2))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    share = np.zeros((height, width))
    share[top : top + side, left : left + side] = np.asarray(ink) / 255
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    paper = 190 + rng.uniform(20, 80) * (x * np.cos(angle) + y * np.sin(angle))
    page = paper * (1 - share * rng.uniform(0.5, 0.85)) + rng.normal(0, rng.uniform(3, 12), x.shape)
    if rng.integers(2):
        page = 255 - page
    return as_jpeg(page, rng)


def page(
    kind: str, digits: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray]:
    """Twelve digits (12, 28, 28) as if photographed together, and the middle of each, (12, 2).

    In a line or three, and unless on a dark table or in a shadow, in half of all cases inverted.
    """
    side, n_columns = int(rng.integers(60, 130)), N_DIGITS // (1 if kind == "a tilted line" else 3)
    share = np.zeros(((N_DIGITS // n_columns + 2) * side, (n_columns + 2) * side), np.float32)
    middles = (np.stack(np.divmod(np.arange(N_DIGITS), n_columns), axis=1) + 1.5) * side
    for digit, middle in zip(digits, middles, strict=True):
        size = int(side * rng.uniform(0.8, 1.05))
        top, left = (middle - size / 2 + rng.uniform(-0.05, 0.05, 2) * side).astype(int)
        ink = Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC)
        place = share[top : top + size, left : left + size]
        np.maximum(place, np.asarray(ink, dtype=np.float32) / 255, out=place)
    axes, low, high = RULES.get(kind, ((), 1, 1))
    gap, width, strength = side * rng.uniform(low, high), rng.integers(2, 5), rng.uniform(0.3, 1)
    ruled = share[side : width - side, side : width - side] if kind == "boxes" else share
    for axis in axes:
        for at in np.arange(0, ruled.shape[axis], gap).astype(int):
            rule = np.swapaxes(ruled, 0, axis)[at : at + width]
            np.maximum(rule, strength, out=rule)
    angle = rng.uniform(-2, 2) if kind in RULES else rng.uniform(-10, 10)
    lit = 190 * (1 - share * rng.uniform(0.5, 0.85))
    around = rng.uniform(20, 90) if kind == "a dark table" else 190
    turned = Image.fromarray(lit.astype(np.float32)).rotate(
        angle, Image.Resampling.BICUBIC, expand=True, fillcolor=around
    )
    margins = rng.integers(side // 4, 3 * side, (2, 2)) * (kind == "a dark table")
    if kind in RULES:
        # The corners, which have no rules.
        margins -= int(max(share.shape) * abs(np.sin(np.deg2rad(angle)))) + 1
    cut = -margins.min(initial=0, where=margins < 0)
    grey = np.asarray(turned)[cut : turned.height - cut, cut : turned.width - cut]
    grey = np.pad(grey, np.maximum(margins, 0), constant_values=around)
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    centre = margins[:, 0] + np.array([turned.height, turned.width]) / 2
    middles = (middles - np.array(share.shape) / 2) @ [[cos, sin], [-sin, cos]] + centre
    y, x = np.mgrid[-0.5 : 0.5 : grey.shape[0] * 1j, -0.5 : 0.5 : grey.shape[1] * 1j]
    grey = grey * (1 + rng.uniform(0.1, 0.3) * (x if rng.integers(2) else y))
    if kind == "a shadow":
        turn = rng.uniform(0, 2 * np.pi)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        phone = (along > rng.uniform(-0.3, 0.1)) & (abs(across) < rng.uniform(0.15, 0.35))
        blur = rng.uniform(1, 0.02 * max(grey.shape))
        grey *= 1 - rng.uniform(0.3, 0.6) * ndimage.gaussian_filter(phone.astype(float), blur)
    elif kind != "a dark table" and rng.integers(2):
        grey = 255 - grey
    return as_jpeg(grey + rng.normal(0, rng.uniform(2, 9), grey.shape), rng), middles


def as_jpeg(grey: NDArray, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What a JPEG file keeps of (height, width), as (height, width, 3)."""
    file = io.BytesIO()
    image = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")
    image.save(file, "JPEG", quality=int(rng.integers(50, 90)))
    return np.asarray(Image.open(file))


def read_page(
    classifier: Classifier, picture: NDArray[np.uint8], middles: NDArray, truth: NDArray
) -> list[float]:
    """Of a page: digits answered right, unsure, and not found; sure mistakes; is it in order."""
    try:
        digits, _, answers = classifier.read(picture)
    except UserError:
        return [0, 0, len(truth), 0, False]
    least = np.sqrt(((middles[1:] - middles[:-1]) ** 2).sum(axis=1)).min() / 2
    places, n_right, n_unsure, n_wrong = [], 0, 0, 0
    for digit, answer in zip(digits, answers, strict=True):
        middle = [(side.start + side.stop) / 2 for side in digit.box]
        distances = np.sqrt(((middles - middle) ** 2).sum(axis=1))
        place, is_sure = int(distances.argmin()), answer.verdict == "sure"
        is_digit = bool(distances[place] < least) and place not in places
        is_right = is_digit and answer.label == truth[place]
        if is_digit:
            places.append(place)
        n_right += is_right
        n_unsure += is_digit and not is_sure
        n_wrong += is_sure and not is_right
    return [n_right, n_unsure, len(truth) - len(places), n_wrong, places == sorted(places)]


def enlarged(scan: NDArray) -> NDArray[np.uint8]:
    """One of scikit-learn's digits, (8, 8) of 0 to 16, as a picture with an empty margin."""
    scan = np.pad(scan * (255 / 16), MARGIN).astype(np.float32)
    side = len(scan) * ENLARGED
    image = Image.fromarray(scan).resize((side, side), Image.Resampling.BICUBIC)
    grey = np.clip(np.asarray(image), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def report(
    name: str, classifier: Classifier, pictures: list[NDArray[np.uint8]], truth: NDArray
) -> NDArray[np.bool_]:
    """Print how often the one digit of a picture is answered right, in all and by the verdict.

    Of several that are found, the largest counts; of none, a blank image.

    Returns:
        Which are right, (n,).
    """
    images, n_alone = np.zeros((len(pictures), 28, 28), dtype=np.uint8), 0
    for image, picture in zip(images, pictures, strict=True):
        with suppress(UserError):
            digits = find_digits(picture)
            image[:] = mnist_form(max(digits, key=lambda digit: digit.ink.sum()).ink)
            n_alone += len(digits) == 1
    answers = classifier.predict(images)
    right: NDArray[np.bool_] = np.array([answer.label for answer in answers]) == truth
    verdicts = np.array([answer.verdict for answer in answers])
    n = len(truth)
    print(f"{name}: {right.mean():.4f} of {n} right, {n - n_alone} without just one digit")
    for verdict in np.unique(verdicts):
        of_these = right[verdicts == verdict]
        print(f"  {verdict}: {len(of_these)}, of these {of_these.mean():.4f} right")
    return right


def main(root: Path = Path()) -> None:
    """Print how often digits are read right, and what the verdicts are worth."""
    check_cores()
    classifier = Classifier(root)
    test_images, test_labels = load_set(classifier.paths["test_labels"].parent)
    small = [np.repeat(image[..., None], 3, axis=2) for image in test_images]
    report("pictures of 28 × 28 pixels", classifier, small, test_labels)
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.choice(len(test_labels), N_PHOTOS, replace=False))
    photos = [photo(digit, rng) for digit in test_images[chosen]]
    report("photos", classifier, photos, test_labels[chosen])
    scans, half = load_digits(), len(load_digits().target) // 2
    truth = scans.target[half:]
    right = report("scans", classifier, [enlarged(scan) for scan in scans.images[half:]], truth)
    print("  by digit:", *(f"{right[truth == digit].mean():.3f}" for digit in range(10)))
    for kind in KINDS:
        rng, read = np.random.default_rng(SEED), []
        for _ in range(N_PAGES):
            some = rng.choice(len(test_labels), N_DIGITS, replace=False)
            picture, middles = page(kind, test_images[some], rng)
            read.append(read_page(classifier, picture, middles, test_labels[some]))
        n_right, n_unsure, n_missed, n_wrong, n_ordered = np.sum(read, axis=0)
        print(
            f"{kind}: {n_right / N_DIGITS / N_PAGES:.4f} right, {n_unsure:.0f} unsure and "
            f"{n_missed:.0f} not found of {N_DIGITS * N_PAGES}; {n_wrong:.0f} sure and wrong; "
            f"{n_ordered:.0f} of {N_PAGES} pages in order"
        )


if __name__ == "__main__":
    try:
        main(Path(*sys.argv[1:]))
    except UserError as error:
        sys.exit(str(error))
