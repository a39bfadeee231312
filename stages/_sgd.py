"""Linear SVM by stochastic gradient descent: scikit-learn's, one task per class.

scikit-learn's own threads (``n_jobs``) reset the warning filters of the whole process while they
start (``sklearn/utils/parallel.py``), so that they cannot run in several folds at once.
"""

from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import SGDClassifier


class OneVsRestSGD(ClassifierMixin, BaseEstimator):
    """What :class:`sklearn.linear_model.SGDClassifier` learns, bit for bit.

    The weights of each class are a binary :class:`~sklearn.linear_model.SGDClassifier`'s, seeded
    as the one of all classes seeds it; the classes are fitted in parallel threads, which share X.

    Args:
        max_iter: Passes over the training images, at most.
        tol: The improvement of the loss below which five passes in turn are the last.
        random_state: The seed.

    Attributes:
        classes_: (n_classes,).
        coef_: (n_problems, n_pixels), float64; one problem for two classes, else one a class.
        intercept_: (n_problems,), float64.
    """

    def __init__(self, max_iter: int, tol: float, random_state: int) -> None:
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> "OneVsRestSGD":
        """Fit on ``X`` (n, n_pixels) and ``y`` (n,), of two classes or more."""
        images, labels = np.asarray(X), np.asarray(y)
        # The weight of a pixel that is 0 in every image stays 0.
        used = np.flatnonzero(images.any(axis=0))
        pixels = np.ascontiguousarray(images[:, used], dtype=np.float64)
        self.classes_ = np.unique(labels)
        positives, seeds = self.classes_[1:], [self.random_state]
        if len(self.classes_) > 2:
            random = np.random.RandomState(self.random_state)
            positives = self.classes_
            seeds = random.randint(np.iinfo(np.int32).max, size=len(positives)).tolist()

        def fit_one(seed: int, positive: Any) -> SGDClassifier:
            sgd = SGDClassifier(max_iter=self.max_iter, tol=self.tol, random_state=seed)
            return sgd.fit(pixels, labels == positive)

        tasks = (delayed(fit_one)(*task) for task in zip(seeds, positives, strict=True))
        fitted = Parallel(n_jobs=-1, backend="threading")(tasks)
        self.coef_ = np.zeros((len(fitted), images.shape[1]))
        self.coef_[:, used] = np.vstack([sgd.coef_ for sgd in fitted])
        self.intercept_ = np.concatenate([sgd.intercept_ for sgd in fitted])
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """The scores of ``X``: (n,) for two classes (of the second one), else (n, n_classes).

        A product of dense matrices is summed in an order that depends on the CPU; SciPy's sparse
        one adds pixel by pixel, in the same order everywhere.
        """
        scores: NDArray[np.float64] = csr_array(np.asarray(X)) @ self.coef_.T + self.intercept_
        return scores if len(self.classes_) > 2 else scores[:, 0]

    def predict(self, X: ArrayLike) -> NDArray:
        """The class of each image, (n,)."""
        scores = self.decision_function(X)
        best = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(int)
        return self.classes_[best]
