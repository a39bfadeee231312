"""Linear SVM by stochastic gradient descent (In 10, 48), also on standardised pixels (In 51).

What :class:`sklearn.linear_model.SGDClassifier` learns, to the last bit, in a fraction of its time.
SGD takes one image after another, and the weights change only where the hinge loss is not 0: for 3
to 4 of 100 images of MNIST. The score of any other image has no influence at all, as long as it is
known to be beyond the margin. So each image is scored first in whatever order of pixels is fastest,
which a bound on rounding errors covers (:func:`fit_hinge`), and only where that does not settle it,
pixel after pixel as scikit-learn does (``linear_model/_sgd_fast.pyx.tp``, version 1.9).
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from stages.common.compiled import compiler

njit = compiler()
MAX_INT = np.iinfo(np.int32).max
# What SGDClassifier does unless it is told otherwise.
ALPHA, EPOCHS_WITHOUT_IMPROVEMENT = SGDClassifier().alpha, SGDClassifier().n_iter_no_change
# Of a pixel.
LARGEST = 255.0
# So many images ahead, the next one's pixels are asked for: they lie in no order.
AHEAD = 2
BYTES_OF_A_CACHE_LINE = 64
ANY_ORDER = {"reassoc", "contract"}


@intrinsic
def prefetch(_: Any, X: Any, at: Any) -> Any:
    """Have the CPU fetch the element at a flat index of an array, and go on without waiting."""
    ir = cgutils.ir

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To read it, soon again, as data.
        builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(X, types.uint64), generate


@njit()
def shuffle(order: NDArray[np.uint32], seed: int) -> None:
    """Permute ``order`` as ``SequentialDataset.shuffle``: Fisher-Yates by a 32-bit XorShift."""
    bits, mask = np.uint64(seed if seed else 1), np.uint64(0xFFFFFFFF)
    for i in range(len(order) - 1):
        bits ^= (bits << np.uint64(13)) & mask
        bits ^= bits >> np.uint64(17)
        bits ^= (bits << np.uint64(5)) & mask
        j = i + np.int64(bits % np.uint64(2**31)) % (len(order) - i)
        order[i], order[j] = order[j], order[i]


@njit(fastmath=ANY_ORDER)
def approximate_dot(weights: NDArray[np.float64], row: NDArray) -> float:
    """The sum of products, in any order."""
    total = 0.0
    for j in range(len(weights)):
        total += weights[j] * row[j]
    return total


@njit(fastmath=ANY_ORDER)
def prepare(
    w: NDArray[np.float64],
    mean: NDArray[np.float64],
    inverse: NDArray[np.float64],
    on_pixels: NDArray[np.float64],
) -> tuple[float, float]:
    """The weights on pixels as they are, into ``on_pixels``; what to subtract; the largest sum."""
    subtract, most = 0.0, 0.0
    for j in range(len(w)):
        on_pixels[j] = w[j] * inverse[j]
        subtract += on_pixels[j] * mean[j]
        most += abs(on_pixels[j]) * (LARGEST + abs(mean[j]))
    return subtract, most


@njit()
def margin(n_pixels: int) -> float:
    """How far two sums of so many products may differ, of the largest sum of their magnitudes."""
    return 8 * (n_pixels + 8) * 2.0**-53


@njit()
def rate(t: float) -> float:
    """The learning rate of the ``t``-th image, from 1: "optimal"."""
    first = np.sqrt(1.0 / np.sqrt(ALPHA))
    return 1.0 / (ALPHA * (1.0 / (first * ALPHA) + t - 1.0))


@njit()
def penalised(
    objective: float, squared_norm: float, start: float, end: float
) -> tuple[float, float]:
    """The objective and the norm after the penalties of the images from ``start`` to ``end``."""
    t = start
    while t < end:
        norm = np.sqrt(squared_norm)
        objective += ALPHA * (0.5 * (norm * norm))
        shrink = 1.0 - rate(t) * ALPHA
        squared_norm *= shrink * shrink
        t += 1.0
    return objective, squared_norm


@njit()
def fit_hinge(
    X: NDArray,
    y: NDArray[np.float64],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    max_iter: int,
    tol: float,
    seed: int,
) -> tuple[NDArray[np.float64], float, int]:
    """The weights, the intercept and the epochs of ``_plain_sgd`` for the hinge loss and L2.

    The weights are ``w * wscale``, so that the penalty, which shrinks all of them with each image,
    changes one number. An image x has the score p = w·x wscale + intercept, and changes w if
    y p <= 1.

    The score is first taken as u·v wscale + intercept, where v are the pixels as they are and u
    the weights for these, and 1/scale is multiplied with. With n pixels and unit roundoff 2**-53,
    this and scikit-learn's own sum of n products each differ from the true score by less than
    (n + 8) 2**-53 times the sum of the products' magnitudes, whatever the order (Higham, Accuracy
    and Stability of Numerical Algorithms, section 3.1): of all images, ``most`` is the largest
    such sum. Four times both is allowed for (:func:`margin`). Where y p is above 1 by more,
    scikit-learn's own is above 1, too.

    The objective, which ends the epochs, has the norm of the weights in it, image by image. It is
    added up later: the norm after a change is only known when the weights are next walked through.

    Args:
        X: (n, n_pixels), bytes, C-contiguous; what is learned from is ``(X - mean) / scale``.
        y: (n,), 1 or -1.
        mean: (n_pixels,).
        scale: (n_pixels,).
        max_iter: Passes over the images, at most.
        tol: The improvement of the mean objective that counts.
        seed: Of the shuffle.

    Returns:
        (n_pixels,), the intercept and the number of epochs.
    """
    n, n_pixels = X.shape
    w, x, u = np.zeros(n_pixels), np.zeros(n_pixels), np.zeros(n_pixels)
    inverse = 1.0 / scale
    order = np.arange(n).astype(np.uint32)
    step = np.uint64(BYTES_OF_A_CACHE_LINE)
    unit = margin(n_pixels)
    intercept, wscale, t, subtract, most = 0.0, 1.0, 1.0, 0.0, 0.0
    # Of the images before `counted`, the penalties are in the objective. The norm is of the weights
    # when they last changed; if it is not known yet, `changed_at` is their scale at that time.
    squared_norm, counted, changed_at = 0.0, 1.0, 0.0
    best, without_improvement = np.inf, 0
    for epoch in range(1, max_iter + 1):
        objective = 0.0
        shuffle(order, seed)
        for k in range(n):
            i = order[k]
            if k + AHEAD < n:
                start = np.uint64(order[k + AHEAD]) * np.uint64(n_pixels)
                for at in range(start, start + np.uint64(n_pixels), step):
                    prefetch(X, at)
            update = 0.0
            score = (approximate_dot(u, X[i]) - subtract) * wscale + intercept
            if y[i] * score <= 1.0 + unit * (most * wscale + abs(intercept)):
                total, squared = 0.0, 0.0
                for j in range(n_pixels):
                    x[j] = (X[i, j] - mean[j]) / scale[j]
                    total += w[j] * x[j]
                    squared += w[j] * w[j]
                if changed_at:
                    squared_norm, changed_at = squared * (changed_at * changed_at), 0.0
                hinge = (total * wscale + intercept) * y[i]
                if hinge <= 1.0:
                    update = rate(t) * y[i]
                    objective, squared_norm = penalised(objective, squared_norm, counted, t)
                    objective += 1.0 - hinge
                    objective, squared_norm = penalised(objective, squared_norm, t, t + 1.0)
                    counted = t + 1.0
            wscale *= 1.0 - rate(t) * ALPHA
            if update:
                change = update / wscale
                for j in range(n_pixels):
                    w[j] += x[j] * change
                intercept += update
                changed_at = wscale
                subtract, most = prepare(w, mean, inverse, u)
            t += 1.0
        if changed_at:
            squared = 0.0
            for j in range(n_pixels):
                squared += w[j] * w[j]
            squared_norm, changed_at = squared * (changed_at * changed_at), 0.0
        objective, squared_norm = penalised(objective, squared_norm, counted, t)
        counted = t
        without_improvement = without_improvement + 1 if objective / n > best - tol else 0
        best = min(best, objective / n)
        if without_improvement >= EPOCHS_WITHOUT_IMPROVEMENT:
            return w * wscale, intercept, epoch
    return w * wscale, intercept, max_iter


@njit()
def products(
    X: NDArray, mean: NDArray[np.float64], scale: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The sums of ``(X - mean) / scale`` times ``weights`` (n_pixels, n_sums): (n, n_sums).

    Pixel after pixel: a product of matrices is summed in an order that depends on the CPU, and
    SciPy's product of sparse ones fuses multiplications with additions on ARM.
    """
    sums = np.zeros((len(X), weights.shape[1]))
    for i in range(len(X)):
        for j in range(len(weights)):
            x = (X[i, j] - mean[j]) / scale[j]
            if x != 0:
                for k in range(weights.shape[1]):
                    sums[i, k] += x * weights[j, k]
    return sums


class Solved(NamedTuple):
    """A binary problem's solution."""

    weights: NDArray[np.float64]
    """(n_pixels,)."""
    intercept: float
    n_iter: int
    """The passes over the images."""
    n_images: int


class OneVsRestSGD(SGDClassifier):
    """What :class:`sklearn.linear_model.SGDClassifier` learns, bit for bit.

    The weights of each class are a binary :class:`~sklearn.linear_model.SGDClassifier`'s, seeded
    as the one of all classes seeds it.

    Args:
        max_iter: Passes over the training images, at most.
        tol: The improvement of the loss below which five passes in turn are the last.
        random_state: The seed.
        scaler: A :class:`~sklearn.preprocessing.StandardScaler` of the pixels that is fitted with
            the model, or none.

    Attributes:
        scaler_: The fitted scaler, or none.
    """

    def __init__(
        self, max_iter: int, tol: float, random_state: int, scaler: BaseEstimator | None = None
    ) -> None:
        super().__init__(max_iter=max_iter, tol=tol, random_state=random_state)
        self.scaler = scaler

    def problems(self, X: NDArray, y: NDArray) -> Iterator[Callable[[NDArray], Solved]]:
        """Yield what fits the binary classifiers to ``X``, which may run side by side.

        Args:
            X: (n, n_pixels), bytes.
            y: (n,), of two classes or more. Two are one problem, of which the second class is the
                positive one; more are a problem each.
        """
        self.scaler_ = clone(self.scaler).fit(X, y) if self.scaler else None
        self.classes_ = np.unique(y)
        mean, scale = self._scaling(X)
        max_iter, tol = self.max_iter, float(self.tol)

        def solve(seed: int, labels: NDArray[np.bool_], pixels: NDArray) -> Solved:
            random = np.random.RandomState(seed)
            # scikit-learn draws one for the data set, which is not used, and one for the shuffle.
            random.randint(1, MAX_INT)
            shuffle_seed, signs = random.randint(MAX_INT), np.where(labels, 1.0, -1.0)
            rows = np.ascontiguousarray(pixels)
            weights, intercept, n_iter = fit_hinge(
                rows, signs, mean, scale, max_iter, tol, shuffle_seed
            )
            return Solved(weights, intercept, n_iter, len(labels))

        positives, seeds = self.classes_[1:], [self.random_state]
        if len(self.classes_) > 2:
            random = np.random.RandomState(self.random_state)
            positives = self.classes_
            seeds = random.randint(MAX_INT, size=len(positives)).tolist()
        for seed, positive in zip(seeds, positives, strict=True):
            yield partial(solve, seed, y == positive)

    def join(self, solved: Sequence[Solved]) -> "OneVsRestSGD":
        """This model, fitted: of the solutions of its ``problems``, in their order."""
        self.coef_ = np.vstack([solution.weights for solution in solved])
        self.intercept_ = np.array([solution.intercept for solution in solved])
        self.n_features_in_ = self.coef_.shape[1]
        self.n_iter_ = max(solution.n_iter for solution in solved)
        self.t_ = 1.0 + self.n_iter_ * solved[0].n_images
        if self.n_iter_ == self.max_iter:
            warnings.warn(
                f"SGD did not converge in {self.max_iter} passes", ConvergenceWarning, stacklevel=2
            )
        return self

    def to_sklearn(self) -> SGDClassifier | Pipeline:
        """The fitted model as scikit-learn's own, which loads without this module."""
        sgd = SGDClassifier(max_iter=self.max_iter, tol=self.tol, random_state=self.random_state)
        learned = ("classes_", "coef_", "intercept_", "n_features_in_", "n_iter_", "t_")
        vars(sgd).update((name, vars(self)[name]) for name in learned)
        return make_pipeline(self.scaler_, sgd) if self.scaler_ else sgd

    def fit(self, X: NDArray, y: ArrayLike) -> "OneVsRestSGD":
        """Fit on ``X`` (n, n_pixels) and ``y`` (n,), one class after another."""
        return self.join([solve(X) for solve in self.problems(X, np.asarray(y))])

    def decision_function(self, X: NDArray) -> NDArray[np.float64]:
        """The scores of ``X``: (n,) for two classes (of the second one), else (n, n_classes)."""
        weights = np.ascontiguousarray(self.coef_.T)
        scores = products(X, *self._scaling(X), weights) + self.intercept_
        return scores if len(self.classes_) > 2 else scores[:, 0]

    def _scaling(self, X: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.scaler_:
            return self.scaler_.mean_, self.scaler_.scale_
        return np.zeros(X.shape[1]), np.ones(X.shape[1])


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
