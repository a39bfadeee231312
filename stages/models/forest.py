"""Random forest (In 36)."""

from typing import Any

from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier


def build(X: NDArray[Any], n_estimators: int, seed: int) -> RandomForestClassifier:
    """An unfitted :class:`~sklearn.ensemble.RandomForestClassifier`; ``X`` plays no part."""
    return RandomForestClassifier(n_estimators=n_estimators, random_state=seed, n_jobs=-1)
