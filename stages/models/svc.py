"""Support vector machine, one-vs-one inside (In 40)."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from sklearn.svm import SVC

from stages._accelerator import svc_class
from stages._params.base import read
from stages._params.svc import Svc


def build(params: Path, X: NDArray[Any]) -> SVC:
    """The model that section ``svc`` describes, unfitted; ``X`` plays no part."""
    svc = read(params, "svc", Svc)
    return svc_class()(C=svc.C, gamma=svc.gamma)
