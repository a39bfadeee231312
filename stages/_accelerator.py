"""scikit-learn's SVC, or Intel's faster one where it is installed.

``DIGITLINE_ACCELERATOR`` (``auto``, ``on`` or ``off``; ``auto`` if unset) chooses. It is an
environment variable and not a parameter because both solve the same problem, to the same tolerance
(1e-3). On MNIST all 10,000 test predictions are the same; of the ten scores reported for the
first digit, those of ``svc`` differ by 1e-5 at most, those of ``ovr_svc`` by 4e-4.
"""

import copyreg
import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.svm import SVC

from stages._errors import UserError


def svc_class() -> type[SVC]:
    """:class:`sklearn.svm.SVC` or scikit-learn-intelex's subclass of it.

    The latter is pickled as the former: its own pickle has bytes of uninitialised memory, and
    loads only where it is installed.

    Raises:
        UserError: The variable is none of the three, or ``on`` where it is not installed.
    """
    choice = os.environ.get("DIGITLINE_ACCELERATOR", "auto")
    installed = find_spec("sklearnex") is not None
    if choice not in {"auto", "on", "off"}:
        raise UserError(f"DIGITLINE_ACCELERATOR is {choice!r}, but should be auto, on or off")
    if choice == "on" and not installed:
        raise UserError("DIGITLINE_ACCELERATOR is on, but scikit-learn-intelex is not installed")
    if choice == "off" or not installed:
        return SVC
    accelerated: type[SVC] = import_module("sklearnex.svm").SVC
    copyreg.pickle(accelerated, lambda model: (SVC, (), as_scikit_learns(model).__getstate__()))
    return accelerated


def as_scikit_learns(model: Any) -> SVC:
    """An accelerated SVC, fitted or not, as a plain :class:`sklearn.svm.SVC` of float64."""
    known = SVC().get_params()
    plain = SVC(**{name: value for name, value in model.get_params().items() if name in known})
    if not hasattr(model, "support_"):
        return plain

    def array(values: Any) -> Any:
        return np.ascontiguousarray(values, dtype=np.float64)

    vectors = array(model.support_vectors_)
    # Fitted on one image of each class, it has every attribute; then those that matter are set.
    plain.fit(vectors[np.cumsum(model.n_support_) - 1], model.classes_)
    plain.support_ = model.support_.astype(np.int32)
    plain.support_vectors_ = vectors
    plain._n_support = model.n_support_.astype(np.int32)
    plain.dual_coef_ = array(model.dual_coef_)
    plain.intercept_ = array(model.intercept_)
    # libsvm's own, which have the other sign for two classes (sklearn/svm/_base.py).
    sign = -1.0 if len(model.classes_) == 2 else 1.0
    plain._dual_coef_ = sign * plain.dual_coef_
    plain._intercept_ = sign * plain.intercept_
    plain._gamma = float(model._gamma)
    plain.shape_fit_ = model.shape_fit_
    plain.n_iter_ = np.asarray(model.n_iter_, dtype=np.int32)
    plain._num_iter = plain.n_iter_
    return plain
