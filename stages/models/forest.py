"""Random forest (In 36)."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from stages._params.base import read
from stages._params.forest import Forest


def build(params: Path, X: NDArray[Any]) -> RandomForestClassifier:
    """The model that section ``forest`` describes, unfitted; ``X`` plays no part."""
    forest = read(params, "forest", Forest)
    return RandomForestClassifier(
        n_estimators=forest.n_estimators, random_state=forest.seed, n_jobs=-1
    )
