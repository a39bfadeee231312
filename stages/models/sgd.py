"""Linear SVM by stochastic gradient descent (In 10, 48), also on standardised pixels (In 51).

scikit-learn's, one independent problem a class. Its own threads (``n_jobs``) could not serve: they
reset the warning filters of the whole process while they start (``sklearn/utils/parallel.py``), so
that they cannot run for several folds at once.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

PORTABLE = True


class OneVsRestSGD(ClassifierMixin, BaseEstimator):
    """What :class:`sklearn.linear_model.SGDClassifier` learns, bit for bit.

    The weights of each class are a binary :class:`~sklearn.linear_model.SGDClassifier`'s, seeded
    as the one of all classes seeds it.

    Args:
        max_iter: Passes over the training images, at most.
        tol: The improvement of the loss below which five passes in turn are the last.
        random_state: The seed.
        scaler: A transformer of the pixels that is fitted with the model, or none.

    Attributes:
        sgd_: The fitted :class:`~sklearn.linear_model.SGDClassifier` of all classes.
        scaler_: The fitted transformer, or none.
        classes_: (n_classes,).
    """

    def __init__(
        self, max_iter: int, tol: float, random_state: int, scaler: BaseEstimator | None = None
    ) -> None:
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.scaler = scaler

    def problems(self, X: NDArray, y: NDArray) -> Iterator[Callable[[], SGDClassifier]]:
        """Yield what fits the binary classifiers, one call each, which may run side by side.

        Args:
            X: (n, n_pixels).
            y: (n,), of two classes or more. Two are one problem, of which the second class is the
                positive one; more are a problem each.
        """
        self.scaler_ = clone(self.scaler).fit(X, y) if self.scaler else None
        self.classes_ = np.unique(y)
        pixels = self._scaled(X)
        n_pixels, used = pixels.shape[1], np.flatnonzero(pixels.any(axis=0))
        pixels = np.ascontiguousarray(pixels[:, used], dtype=np.float64)

        def solve(seed: int, labels: NDArray[np.bool_]) -> SGDClassifier:
            sgd = self._unfitted(seed).fit(pixels, labels)
            # The weight of a pixel that is 0 in every image stays 0.
            weights = np.zeros((1, n_pixels))
            weights[:, used] = sgd.coef_
            sgd.coef_ = weights
            return sgd

        positives, seeds = self.classes_[1:], [self.random_state]
        if len(self.classes_) > 2:
            random = np.random.RandomState(self.random_state)
            positives = self.classes_
            seeds = random.randint(np.iinfo(np.int32).max, size=len(positives)).tolist()
        for seed, positive in zip(seeds, positives, strict=True):
            yield partial(solve, seed, y == positive)

    def n_problems(self, y: NDArray) -> int:
        """How many ``problems`` there are: one for two classes, else one a class."""
        n_classes = len(np.unique(y))
        return n_classes if n_classes > 2 else 1

    def join(self, solved: Sequence[SGDClassifier]) -> "OneVsRestSGD":
        """This model, fitted: of the binary classifiers of its ``problems``, in their order."""
        self.sgd_ = self._unfitted(self.random_state)
        self.sgd_.classes_ = self.classes_
        self.sgd_.coef_ = np.vstack([sgd.coef_ for sgd in solved])
        self.sgd_.intercept_ = np.concatenate([sgd.intercept_ for sgd in solved])
        self.sgd_.n_features_in_ = self.sgd_.coef_.shape[1]
        self.sgd_.n_iter_ = max(sgd.n_iter_ for sgd in solved)
        self.sgd_.t_ = max(sgd.t_ for sgd in solved)
        return self

    def plain(self) -> SGDClassifier | Pipeline:
        """The fitted model as scikit-learn's own, which loads without this module."""
        return make_pipeline(self.scaler_, self.sgd_) if self.scaler_ else self.sgd_

    def fit(self, X: ArrayLike, y: ArrayLike) -> "OneVsRestSGD":
        """Fit on ``X`` (n, n_pixels) and ``y`` (n,), one class after another."""
        return self.join([solve() for solve in self.problems(np.asarray(X), np.asarray(y))])

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """The scores of ``X``: (n,) for two classes (of the second one), else (n, n_classes).

        A product of dense matrices is summed in an order that depends on the CPU; SciPy's sparse
        one adds pixel by pixel, in the same order everywhere.
        """
        pixels = csr_array(self._scaled(np.asarray(X)))
        scores: NDArray[np.float64] = pixels @ self.sgd_.coef_.T + self.sgd_.intercept_
        return scores if len(self.classes_) > 2 else scores[:, 0]

    def predict(self, X: ArrayLike) -> NDArray:
        """The class of each image, (n,)."""
        scores = self.decision_function(X)
        best = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(int)
        return self.classes_[best]

    def _scaled(self, X: NDArray) -> NDArray:
        return self.scaler_.transform(X) if self.scaler_ else X

    def _unfitted(self, seed: int) -> SGDClassifier:
        return SGDClassifier(max_iter=self.max_iter, tol=self.tol, random_state=seed)


def build(X: NDArray[Any], max_iter: int, tol: float, seed: int, scale: str) -> OneVsRestSGD:
    """The unfitted model.

    Args:
        X: All training images, (n, 784).
        max_iter: Passes over the training images, at most.
        tol: The improvement of the loss below which five passes in turn are the last.
        seed: The seed of the order that the images are taken in.
        scale: Which images the mean and the deviation of a pixel are taken over. ``none`` leaves
            the pixels as they are. ``all_images`` is what the notebook does before it cuts a fold,
            and leaks: each fold is scaled with what its own test images helped to make.
            ``each_fold`` takes just the training images of each fold.
    """
    scalers = {
        "none": lambda: None,
        "all_images": lambda: FrozenEstimator(StandardScaler().fit(X)),
        "each_fold": StandardScaler,
    }
    return OneVsRestSGD(max_iter=max_iter, tol=tol, random_state=seed, scaler=scalers[scale]())
