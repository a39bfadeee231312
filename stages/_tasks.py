"""The two tasks that classifiers learn: ``binary`` (is it the target?) and ``digits``."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages._params.base import Digit, read

Task = Literal["binary", "digits"]


def task_labels(task: Task, labels: NDArray[np.uint8], params: Path) -> NDArray:
    """The labels to learn, (n,): bool for ``binary``, uint8 for ``digits``.

    Reads ``binary.target`` for ``binary`` only.
    """
    return labels == read(params, "binary.target", Digit) if task == "binary" else labels
