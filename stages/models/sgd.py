"""Linear SVM by stochastic gradient descent (In 10, 48)."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from stages._params.base import read
from stages._params.sgd import Sgd
from stages._sgd import OneVsRestSGD


def build(params: Path, X: NDArray[Any]) -> OneVsRestSGD:
    """The model that section ``sgd`` describes, unfitted; ``X`` plays no part."""
    sgd = read(params, "sgd", Sgd)
    return OneVsRestSGD(max_iter=sgd.max_iter, tol=sgd.tol, random_state=sgd.seed)
