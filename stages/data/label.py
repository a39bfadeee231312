"""Stage label: which images show the target, the digit that the detectors look for (In 10)."""

from pathlib import Path

from stages.common.arrays import load_set, save
from stages.common.params import read


def main(params: Path, train: Path, test: Path, out: Path) -> None:
    """Write the labels that a detector learns, ``train.npy``, and is tested with, ``test.npy``."""
    target = read(params, "binary.target")
    for part in (train, test):
        _, labels = load_set(part)
        save(out / f"{part.name}.npy", labels == target)
