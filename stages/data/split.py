"""Stage split: the first images train, the rest test (In 11)."""

from pathlib import Path

from stages.common.arrays import load, save
from stages.common.params import read


def main(
    params: Path,
    images: Path,
    labels: Path,
    train_images: Path,
    train_labels: Path,
    test_images: Path,
    test_labels: Path,
) -> None:
    """Cut ``images`` and ``labels`` in two, in their order."""
    n_train = read(params, "split.n_train")
    for whole, train, test in (
        (images, train_images, test_images),
        (labels, train_labels, test_labels),
    ):
        array = load(whole)
        save(train, array[:n_train])
        save(test, array[n_train:])
