"""The SGD classifier on standardised pixels (In 51)."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from stages._params.base import read
from stages._params.sgd_scaled import SgdScaled
from stages._sgd import OneVsRestSGD


def build(params: Path, X: NDArray[Any]) -> Pipeline:
    """The model that section ``sgd_scaled`` describes, unfitted.

    The notebook fits its scaler on all of ``X`` before any fold is cut (``scale_per_fold`` false).
    That leaks: each fold is scaled with means and deviations that its own test images helped to
    make. ``scale_per_fold`` true fits the scaler with the model, on each fold's training images.

    Args:
        params: The parameters file.
        X: All training images, (n, 784).
    """
    section = read(params, "sgd_scaled", SgdScaled)
    scaler = StandardScaler()
    if not section.scale_per_fold:
        scaler = FunctionTransformer(scaler.fit(X).transform)
    sgd = OneVsRestSGD(max_iter=section.max_iter, tol=section.tol, random_state=section.seed)
    return make_pipeline(scaler, sgd)
