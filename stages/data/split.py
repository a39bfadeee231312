"""Stage split: the first images train, the rest test (In 11)."""

from pathlib import Path

from stages.common.arrays import load_set, save_set
from stages.common.params import read


def main(params: Path, mnist: Path, train: Path, test: Path) -> None:
    """Split images and labels in two, in their order."""
    n_train = read(params, "split.n_train")
    images, labels = load_set(mnist)
    save_set(train, images[:n_train], labels[:n_train])
    save_set(test, images[n_train:], labels[n_train:])
