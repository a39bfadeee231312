"""How often the digits of pictures are read right: ``python -m predict.evaluate``.

Photos that are made of MNIST's test digits, and scikit-learn's 1,797 scans of other hands.
"""

import io
import sys
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from predict.classify import Classifier, variables
from predict.find import find_digits, mnist_form
from predict.recorded import check_of_one_run
from stages.common.arrays import load_set
from stages.common.errors import UserError
from stages.common.process_environment import check_cores

N_PHOTOS, SEED = 500, 42
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
    grey = Image.fromarray(np.clip(page, 0, 255).astype(np.uint8))
    file = io.BytesIO()
    grey.convert("RGB").save(file, "JPEG", quality=int(rng.integers(50, 90)))
    return np.asarray(Image.open(file))


def enlarged(scan: NDArray) -> NDArray[np.uint8]:
    """One of scikit-learn's digits, (8, 8) of 0 to 16, as a picture with an empty margin."""
    scan = np.pad(scan * (255 / 16), MARGIN).astype(np.float32)
    side = len(scan) * ENLARGED
    image = Image.fromarray(scan).resize((side, side), Image.Resampling.BICUBIC)
    grey = np.clip(np.asarray(image), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def forms(pictures: list[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The one digit of each picture as (n, 28, 28), and how many were found in each, (n,).

    Of several, the largest; of none, a blank image.
    """
    images, counts = np.zeros((len(pictures), 28, 28), dtype=np.uint8), []
    for image, picture in zip(images, pictures, strict=True):
        try:
            digits = find_digits(picture)
        except UserError:
            digits = []
        counts.append(len(digits))
        if digits:
            image[:] = mnist_form(max(digits, key=lambda digit: digit.ink.sum()).ink)
    return images, np.array(counts)


def report(name: str, correct: NDArray[np.bool_], counts: NDArray[np.intp]) -> None:
    """Print how often it was right, and how often other than one digit was found."""
    print(f"{name}: {correct.mean():.4f} right, {np.sum(counts != 1)} without just one digit")


def main(root: Path = Path()) -> None:
    """Print both accuracies, and what the verdicts are worth, by the pipeline in ``root``."""
    check_cores()
    classifier = Classifier(root)
    test = root / variables(root)["test"]
    check_of_one_run(root, [test])
    test_images, test_labels = load_set(test)
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.choice(len(test_labels), N_PHOTOS, replace=False))
    clean, truth = test_images[chosen], test_labels[chosen]
    scans = load_digits()
    photographed, counts = forms([photo(digit, rng) for digit in clean])
    half = len(scans.target) // 2
    scanned, scan_counts = forms([enlarged(scan) for scan in scans.images])
    answers = classifier.predict(np.concatenate([clean, photographed, scanned]))
    said, verdicts = (np.array([getattr(a, key) for a in answers]) for key in ("label", "verdict"))
    n = len(clean)
    report(f"{n} clean test digits", said[:n] == truth, np.ones(n, dtype=int))
    report("photos of them", said[n : 2 * n] == truth, counts)
    right = said[2 * n :] == scans.target
    for part, rows in (("first", slice(half)), ("second", slice(half, None))):
        report(f"scans, {part} half", right[rows], scan_counts[rows])
    for digit in range(10):
        of_digit = right[half:][scans.target[half:] == digit]
        print(f"  {digit}: {of_digit.mean():.3f} of {len(of_digit)}")
    for name, correct, spoken in (
        ("photos", said[n : 2 * n] == truth, verdicts[n : 2 * n]),
        ("scans, second half", right[half:], verdicts[2 * n + half :]),
    ):
        for verdict in np.unique(spoken):
            chosen = spoken == verdict
            print(f"{name}, {verdict}: {chosen.sum()}, of these {correct[chosen].mean():.4f} right")


if __name__ == "__main__":
    try:
        tyro.cli(main, prog="python -m predict.evaluate")
    except UserError as error:
        sys.exit(str(error))
