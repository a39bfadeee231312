"""Stage label: which images show the target, the digit that the detectors look for (In 10)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load, save
from stages.common.params import read


def is_target(labels: NDArray[np.uint8], target: int) -> NDArray[np.bool_]:
    """Whether each of the digits ``labels`` (n,) is the target: (n,)."""
    return np.asarray(labels == target)


def main(
    params: Path, train_labels: Path, test_labels: Path, train_is_target: Path, test_is_target: Path
) -> None:
    """Write the labels that a detector learns, and those that it is tested with."""
    target = read(params, "binary.target")
    save(train_is_target, is_target(load(train_labels), target))
    save(test_is_target, is_target(load(test_labels), target))
