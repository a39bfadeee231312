"""The detector that never finds anything (In 14): why accuracy misleads."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier

from stages._params.base import read
from stages._params.never import Never


def build(params: Path, X: NDArray[Any]) -> DummyClassifier:
    """The model that section ``never`` describes, unfitted; ``X`` plays no part."""
    return DummyClassifier(strategy="constant", constant=read(params, "never", Never).answer)
