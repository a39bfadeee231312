"""Linear SVM by stochastic gradient descent (In 10, 48)."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier

from stages._params.base import read
from stages._params.sgd import Sgd


def build(params: Path, X: NDArray[Any]) -> SGDClassifier:
    """The model that section ``sgd`` describes, unfitted; ``X`` plays no part."""
    sgd = read(params, "sgd", Sgd)
    return SGDClassifier(max_iter=sgd.max_iter, tol=sgd.tol, random_state=sgd.seed, n_jobs=-1)
