"""A classifier that gives every image the same answer (In 14): why accuracy misleads."""

from typing import Any

from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier


def build(X: NDArray[Any], strategy: str) -> DummyClassifier:
    """An unfitted :class:`~sklearn.dummy.DummyClassifier`; ``X`` plays no part."""
    return DummyClassifier(strategy=strategy)
