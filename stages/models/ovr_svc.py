"""One SVC per digit (In 46)."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from stages._accelerator import svc_class
from stages._params.base import read
from stages._params.svc import Svc


def build(params: Path, X: NDArray[Any]) -> OneVsRestClassifier:
    """The model that section ``ovr_svc`` describes, unfitted; ``X`` plays no part."""
    ovr_svc = read(params, "ovr_svc", Svc)
    kind = svc_class()
    # The accelerated SVC uses every core by itself, scikit-learn's one.
    n_jobs = -1 if kind is SVC else None
    return OneVsRestClassifier(kind(C=ovr_svc.C, gamma=ovr_svc.gamma), n_jobs=n_jobs)
