"""Support vector machines with an RBF kernel: one-vs-one (In 40) and one-vs-rest (In 46).

scikit-learn's SVC, or Intel's faster one where it is installed: ``DIGITLINE_ACCELERATOR``
(``auto``, ``on`` or ``off``; ``auto`` if unset) chooses. It is an environment variable and not a
parameter because both solve the same problem, to the same tolerance (1e-3).
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.svm import SVC
from sklearn.utils import gen_batches
from sklearn.utils.multiclass import _ovr_decision_function

from stages.common.errors import UserError

# The coefficients depend, within the tolerance, on the CPU, its cores and the accelerator.
PORTABLE = False
# The kernel of so many images and 10,000 support vectors takes 80 MB.
IMAGES_AT_ONCE = 1000


def svc_class() -> type[SVC]:
    """:class:`sklearn.svm.SVC` or scikit-learn-intelex's subclass of it.

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
    return import_module("sklearnex.svm").SVC


class PlainSVC(ClassifierMixin, BaseEstimator):
    """An SVC whose decisions are computed from its support vectors, in plain NumPy.

    Asked about several images at once, the accelerated SVC (2026.2, on an Intel CPU with AVX-512)
    decides some of them wrongly, by up to 1.5. What it has learned is right.

    Args:
        svc: An unfitted :class:`sklearn.svm.SVC` with an RBF kernel; its pixels are in single
            precision.
        n_jobs: Not none if ``svc`` uses several cores by itself, so that ``fit_each`` fits one at a
            time.

    Attributes:
        svc_: The fitted one.
        classes_: (n_classes,).
        intercept_: (n_pairs,), of each pair of classes.
    """

    def __init__(self, svc: SVC, n_jobs: int | None = None) -> None:
        self.svc = svc
        self.n_jobs = n_jobs

    def fit(self, X: NDArray, y: NDArray) -> "PlainSVC":
        """Fit on ``X`` (n, n_pixels) and ``y`` (n,)."""
        self.svc_ = clone(self.svc).fit(np.float32(X), y)
        self.classes_, self.intercept_ = self.svc_.classes_, self.svc_.intercept_
        return self

    def pairs(self, X: NDArray) -> NDArray[np.float64]:
        """For each pair of classes, (n, n_pairs): above 0 for the first one, else for the second.

        Of two classes, it is above 0 for the second one. The coefficients lie by the class of their
        support vector and the other class of the pair:
        https://scikit-learn.org/stable/modules/svm.html#multi-class-classification.
        """
        svc, ends = self.svc_, np.cumsum(self.svc_.n_support_)
        of_class = [slice(end - n, end) for n, end in zip(svc.n_support_, ends, strict=True)]
        decisions = np.empty((len(X), len(svc.intercept_)))
        for rows in gen_batches(len(X), IMAGES_AT_ONCE):
            kernel = rbf_kernel(X[rows].astype(float), svc.support_vectors_, gamma=svc._gamma)
            for pair, (i, j) in enumerate(combinations(range(len(self.classes_)), 2)):
                first, second = of_class[i], of_class[j]
                decisions[rows, pair] = (
                    kernel[:, first] @ svc.dual_coef_[j - 1, first]
                    + kernel[:, second] @ svc.dual_coef_[i, second]
                    + svc.intercept_[pair]
                )
        return decisions

    def decision_function(self, X: NDArray) -> NDArray[np.float64]:
        """The scores of ``X``: (n,) for two classes (of the second one), else (n, n_classes).

        The score of one of many classes is its number of votes, and a part below 1/3 that says how
        clear they are.
        """
        decisions = self.pairs(X)
        if len(self.classes_) == 2:
            return decisions[:, 0]
        return _ovr_decision_function(decisions < 0, -decisions, len(self.classes_))

    def predict(self, X: NDArray) -> NDArray:
        """The class with the most votes, (n,); of several, the first."""
        decided = self.decision_function(X)
        if len(self.classes_) == 2:
            return self.classes_[(decided > 0).astype(int)]
        return self.classes_[np.rint(decided).argmax(axis=1)]


class OneVsRestSVC(OneVsRestClassifier):
    """A :class:`~sklearn.multiclass.OneVsRestClassifier` whose SVCs may be fitted anywhere.

    Args:
        estimator: An unfitted :class:`PlainSVC`.
        n_jobs: As of that.
    """

    def problems(self, _: NDArray, y: NDArray) -> Iterator[Callable[[NDArray], PlainSVC]]:
        """Yield what fits the SVC of each class, or of two the second one's, to images."""
        self.label_binarizer_ = LabelBinarizer(sparse_output=True).fit(y)
        self.classes_ = self.label_binarizer_.classes_
        for positive in self.classes_[1:] if len(self.classes_) == 2 else self.classes_:
            yield partial(clone(self.estimator).fit, y=(y == positive).astype(int))

    def join(self, solved: Sequence[PlainSVC]) -> "OneVsRestSVC":
        """This model, fitted: of the solutions of its ``problems``, in their order."""
        self.estimators_ = list(solved)
        return self


def build(
    X: NDArray[Any], C: float, gamma: float | str, multiclass: str
) -> PlainSVC | OneVsRestSVC:
    """An unfitted SVC on pixels in single precision; ``X`` plays no part.

    Args:
        X: All training images, (n, 784).
        C: The inverse of the regularisation's strength.
        gamma: The kernel's coefficient, or ``scale`` or ``auto``.
        multiclass: ``one_vs_one``, which an SVC does by itself, or ``one_vs_rest``.
    """
    kind = svc_class()
    # Those of the accelerated SVC use all cores, one after another.
    n_jobs = None if kind is SVC else -1
    svc = PlainSVC(kind(C=C, gamma=gamma), n_jobs)
    return svc if multiclass == "one_vs_one" else OneVsRestSVC(svc, n_jobs=n_jobs)
