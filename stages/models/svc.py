"""Support vector machines with an RBF kernel: one-vs-one (In 40) and one-vs-rest (In 46).

What :class:`sklearn.svm.SVC` learns, to the last bit, in a fraction of its time, and the same on
any machine. This is libsvm's C-SVC (C.-C. Chang and C.-J. Lin, LIBSVM, ACM TIST 2 (2011), BSD-3;
``svm.cpp``, version 3): sequential minimal optimisation whose pairs are chosen by second order
(R.-E. Fan, P.-H. Chen and C.-J. Lin, JMLR 6 (2005), WSS 2), with shrinking. Three things differ:

- Products of whole numbers are exact in any order, and most pixels of an image are 0: a row of the
  kernel is a sum of a few columns of the others' pixels.
- ``exp`` is of additions and products. The kernel is rounded to single precision, as libsvm's is,
  where the last bit of another ``exp`` is lost.
- What a step adds to the gradient of images that shrinking has set aside is noted, and added in
  libsvm's order when they are looked at again.

Here F is the gradient times y, which is 1 for the first class of a pair and -1 for the second.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numba import int32, uint32
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.svm import SVC
from sklearn.utils import gen_batches
from sklearn.utils.multiclass import _ovr_decision_function

from stages.common.compiled import compiler

njit = compiler()
# Images at once: their products with another image stay in the CPU's first cache.
BLOCK = 4096
# Images whose decisions are a task.
BATCH_SIZE = 500
# Rows of the kernel that a problem keeps. Eight times as many save no time that can be measured.
BYTES_OF_CACHE = 2**24
# So many steps between shrinkings; the least curvature of a pair (libsvm's TAU).
STEPS, LEAST_CURVATURE = 1000, 1e-12
# By how much the conditions of optimality may be missed.
TOLERANCE = SVC().tol
# No image or slot; of a type of its own, row_of would be compiled twice.
NONE: Any = np.intp(-1)

# exp(-z) = 2**-(k // N) * 2**-(k % N / N) * exp(r), where k is a whole number and r small.
N = 128
with localcontext() as context:
    context.prec = 50
    LN2 = Decimal(2).ln()
    ROOTS = [Decimal(2) ** (Decimal(-k) / N) for k in range(N)]
    POWER = np.array([float(root) for root in ROOTS])
    # What rounding took from each, relative to it.
    LOST = np.array([float(root / Decimal(float(root)) - 1) for root in ROOTS])
    PER_UNIT = float(N / LN2)
    # 37 bits, whose product with k is exact, and the rest.
    HIGH = float(round(LN2 / N * 2**44)) / 2**44
    LOW = float(LN2 / N - Decimal(HIGH))
LARGEST = 150.0
HALVES = np.ldexp(1.0, -np.arange(int(LARGEST * PER_UNIT / N) + 2))
# Added to a number below 2**51 and subtracted, it rounds it to a whole one.
TO_INTEGER = 1.5 * 2.0**52


@njit(inline="always")
def exp_minus(z: float) -> float:
    """exp(-z) of z >= 0, off by at most 0.51 units in the last place; beyond 150, exp(-150).

    P. T. P. Tang, Table-driven implementation of the exponential function, ACM TOMS 15 (1989).
    """
    z = min(z, LARGEST)
    nearest = (z * PER_UNIT + TO_INTEGER) - TO_INTEGER
    k = uint32(int32(nearest))
    r = (nearest * HIGH - z) + nearest * LOW
    square = r * r
    rest = r + square * (1 / 2 + r * (1 / 6)) + square * square * (1 / 24 + r * (1 / 120))
    power = POWER[k % uint32(N)] * HALVES[k // uint32(N)]
    return power + power * (LOST[k % uint32(N)] + rest)


class Images(NamedTuple):
    """Images whose kernel with another image is asked for, exp(-gamma d²)."""

    columns: NDArray
    """(n_pixels, n), whole numbers."""
    squares: NDArray[np.int32]
    """(n,), their sums of squares; no d² may be above 2**31 - 1."""
    gamma: float


@njit()
def kernel_row(image: NDArray, square: int, others: Images, out: NDArray) -> None:
    """The kernel of an image (n_pixels,) with others, into ``out`` (n,), rounded to its dtype."""
    # Eight columns at a time; the last ones, of zeros, add nothing.
    at, shades = np.zeros(len(image) + 7, np.intp), np.zeros(len(image) + 7, image.dtype)
    n = 0
    for pixel in range(len(image)):
        if image[pixel]:
            at[n], shades[n] = pixel, image[pixel]
            n += 1
    products = np.empty(BLOCK, np.int32)
    for start in range(0, len(out), BLOCK):
        end = min(start + BLOCK, len(out))
        products[:] = 0
        for m in range(0, n, 8):
            a, b = others.columns[at[m], start:end], others.columns[at[m + 1], start:end]
            c, d = others.columns[at[m + 2], start:end], others.columns[at[m + 3], start:end]
            e, f = others.columns[at[m + 4], start:end], others.columns[at[m + 5], start:end]
            g, h = others.columns[at[m + 6], start:end], others.columns[at[m + 7], start:end]
            s, t, u, v = shades[m], shades[m + 1], shades[m + 2], shades[m + 3]
            w, x, y, z = shades[m + 4], shades[m + 5], shades[m + 6], shades[m + 7]
            for k in range(end - start):
                # Sums of int32 are of int64 otherwise, which takes twice the time.
                p = int32(int32(int32(a[k]) * int32(s)) + int32(int32(b[k]) * int32(t)))
                q = int32(int32(int32(c[k]) * int32(u)) + int32(int32(d[k]) * int32(v)))
                r = int32(int32(int32(e[k]) * int32(w)) + int32(int32(f[k]) * int32(x)))
                o = int32(int32(int32(g[k]) * int32(y)) + int32(int32(h[k]) * int32(z)))
                products[k] = int32(products[k] + int32(int32(p + q) + int32(r + o)))
        kernel, squares = out[start:end], others.squares[start:end]
        for k in range(end - start):
            distance = int32(int32(square + squares[k]) - int32(2 * products[k]))
            kernel[k] = exp_minus(others.gamma * distance)


@njit()
def add_rows(
    images: NDArray,
    squares: NDArray[np.int32],
    weights: NDArray[np.float64],
    places: NDArray[np.intp],
    others: Images,
    kernel: NDArray,
    sums: NDArray[np.float64],
) -> None:
    """Add weighted rows of the kernel to ``sums``, image by image.

    Args:
        images: (m, n_pixels).
        squares: (m,).
        weights: (m, n_weights).
        places: (m, n_weights), the row of ``sums`` that each is for.
        others: n of them.
        kernel: (n,), for one row. Its dtype is what rows are rounded to.
        sums: (n_sums, n).
    """
    for m in range(len(images)):
        kernel_row(images[m], squares[m], others, kernel)
        for w in range(weights.shape[1]):
            row, weight = sums[places[m, w]], weights[m, w]
            for k in range(len(kernel)):
                row[k] += weight * np.float64(kernel[k])


class State(NamedTuple):
    """What is known of each image of a problem. The active ones come first, in libsvm's order."""

    image: NDArray[np.intp]
    """Its row among all images."""
    y: NDArray[np.float64]
    """1 or -1."""
    alpha: NDArray[np.float64]
    F: NDArray[np.float64]
    bound: NDArray[np.float64]
    """The part of F that is of images whose alpha is C."""
    up: NDArray[np.bool_]
    """Whether alpha times y may rise."""
    low: NDArray[np.bool_]
    """Whether it may fall."""
    noted: NDArray[np.intp]
    """How many of the notes are in ``bound``."""
    mark: NDArray[np.float64]
    """How far F had moved, anywhere, when this one was computed."""


class Rows(NamedTuple):
    """Rows of the kernel of the active images, in single precision, the latest ones."""

    values: NDArray[np.float32]
    """(n_slots, n)."""
    slot: NDArray[np.intp]
    """(n,), where the row of an image is, or -1."""
    owner: NDArray[np.intp]
    """(n_slots,), whose row it is, or -1."""
    next: NDArray[np.intp]
    """(1,), the slot to be used next."""


@njit()
def row_of(i: int, held: int, image: NDArray, active: Images, rows: Rows) -> int:
    """The slot that has the row of active image ``i``; the one in slot ``held`` stays."""
    if rows.slot[i] < 0:
        slot = rows.next[0]
        if slot == held:
            slot = (slot + 1) % len(rows.owner)
        rows.next[0] = (slot + 1) % len(rows.owner)
        if rows.owner[slot] >= 0:
            rows.slot[rows.owner[slot]] = -1
        rows.owner[slot], rows.slot[i] = i, slot
        kernel_row(image, active.squares[i], active, rows.values[slot])
    return rows.slot[i]


@njit()
def clipped(a: float, b: float, up: float, y_a: float, y_b: float, C: float) -> tuple[float, float]:
    """Two coefficients, the first moved by y_a up, the second by -y_b up, back within 0 and C."""
    new_a, new_b = a + y_a * up, b - y_b * up
    if y_a == y_b:
        total = a + b
        if total > C:
            if new_a > C:
                return C, total - C
            if new_b > C:
                return total - C, C
        elif new_b < 0:
            return total, 0.0
        elif new_a < 0:
            return 0.0, total
        return new_a, new_b
    apart = a - b
    if y_a > 0:
        if apart > 0:
            if new_a > C:
                return C, C - apart
        elif new_b > C:
            return C + apart, C
    elif apart > 0:
        if new_b < 0:
            return apart, 0.0
    elif new_a < 0:
        return 0.0, -apart
    return new_a, new_b


@njit()
def take_steps(
    steps: int,
    X: NDArray,
    state: State,
    active: Images,
    rows: Rows,
    C: float,
    tolerance: float,
    noted: NDArray[np.intp],
    changes: NDArray[np.float64],
) -> tuple[int, int, bool]:
    """Change so many pairs of the active images' coefficients.

    Args:
        steps: How many, or as many as it takes until they are optimal.
        X: (n_images, n_pixels), all images.
        state: Of all images.
        active: The active ones.
        rows: Of the active ones.
        C: The largest coefficient.
        tolerance: ``TOLERANCE``.
        noted: (2 steps,), for images whose coefficient has come to C, or left it.
        changes: (2 steps,), for what times their rows is to be added to ``state.bound``.

    Returns:
        The number of steps and of notes, and whether the active images are optimal.
    """
    n, n_notes = len(active.squares), 0
    F, alpha, y, up, low = state.F, state.alpha, state.y, state.up, state.low
    for step in range(steps):
        i, top = NONE, -np.inf
        for k in range(n):
            if up[k] and -F[k] >= top:
                i, top = k, -F[k]
        if i < 0:
            return step, n_notes, True
        slot = row_of(i, NONE, X[state.image[i]], active, rows)
        row_i = rows.values[slot]
        j, bottom, best = NONE, -np.inf, -np.inf
        for k in range(n):
            if low[k]:
                bottom = max(bottom, F[k])
                gap = top + F[k]
                if gap > 0:
                    curvature = 2.0 - 2.0 * np.float64(row_i[k])
                    gain = gap * gap / (curvature if curvature > 0 else LEAST_CURVATURE)
                    if gain >= best:
                        j, best = k, gain
        if j < 0 or top + bottom < tolerance:
            return step, n_notes, True
        row_j = rows.values[row_of(j, slot, X[state.image[j]], active, rows)]
        curvature = 2.0 - 2.0 * np.float64(row_i[j])
        rise = (top + F[j]) / (curvature if curvature > 0 else LEAST_CURVATURE)
        old_i, old_j = alpha[i], alpha[j]
        alpha[i], alpha[j] = clipped(old_i, old_j, rise, y[i], y[j], C)
        change_i, change_j = y[i] * (alpha[i] - old_i), y[j] * (alpha[j] - old_j)
        for k in range(n):
            F[k] += np.float64(row_i[k]) * change_i + np.float64(row_j[k]) * change_j
        for t, old, row in ((i, old_i, row_i), (j, old_j, row_j)):
            rises, falls = alpha[t] < C, alpha[t] > 0
            up[t], low[t] = (rises, falls) if y[t] > 0 else (falls, rises)
            if (old >= C) == rises:
                change = -C * y[t] if rises else C * y[t]
                for k in range(n):
                    state.bound[k] += change * np.float64(row[k])
                noted[n_notes], changes[n_notes] = state.image[t], change
                n_notes += 1
    return steps, n_notes, False


@njit()
def sums_of_squares(images: NDArray) -> NDArray[np.int32]:
    """Of the pixels of each image, (n,)."""
    sums = np.zeros(len(images), np.int32)
    for m in range(len(images)):
        for pixel in range(images.shape[1]):
            sums[m] += int32(images[m, pixel]) * int32(images[m, pixel])
    return sums


class Solved(NamedTuple):
    """The solution of a problem of two classes."""

    weights: NDArray[np.float64]
    """(n,), the coefficient of each image times y."""
    rho: float
    """What is subtracted from the sum."""
    n_iter: int
    """The number of steps."""


class Problem:
    """Two classes to be told apart.

    Args:
        X: (n, n_pixels), whole numbers, C-contiguous, in libsvm's order.
        y: (n,), 1 or -1.
        C: The largest coefficient.
        gamma: The kernel's coefficient.
    """

    def __init__(self, X: NDArray, y: NDArray[np.float64], C: float, gamma: float) -> None:
        self.X, self.C, self.gamma, self.squares = X, float(C), gamma, sums_of_squares(X)
        n = len(y)
        self.state = State(
            image=np.arange(n),
            y=y.copy(),
            alpha=np.zeros(n),
            F=-y,
            bound=np.zeros(n),
            up=y > 0,
            low=y < 0,
            noted=np.zeros(n, dtype=np.intp),
            mark=np.zeros(n),
        )
        # Which images have come to C or left it, and what their rows are times then.
        self.notes, self.changes = np.empty(0, dtype=np.intp), np.empty(0)
        # How far F had moved when the active images were chosen, at most.
        self.moved = 0.0
        self.has_looked_again = False
        self.activate(n)

    def images(self, rows: NDArray[np.intp]) -> Images:
        """Those at some rows, without a second copy of them all."""
        columns = np.empty((self.X.shape[1], len(rows)), dtype=self.X.dtype)
        for part in gen_batches(len(rows), BLOCK):
            columns[:, part] = self.X[rows[part]].T
        return Images(columns, self.squares[rows], self.gamma)

    def activate(self, n: int) -> None:
        """Let the first ``n`` images be the active ones."""
        state, self.n = self.state, n
        self.active = self.images(state.image[:n])
        self.F_then, self.alpha_then = state.F[:n].copy(), state.alpha[:n].copy()
        n_slots = max(2, min(n, BYTES_OF_CACHE // (4 * max(n, 1))))
        self.rows = Rows(
            values=np.empty((n_slots, n), dtype=np.float32),
            slot=np.full(n, -1),
            owner=np.full(n_slots, -1),
            next=np.zeros(1, dtype=np.intp),
        )

    def move(self) -> float:
        """How far F has moved anywhere, since the active images were chosen, at most.

        F is a scalar product of the weights and an image of length 1 in the kernel's space, so it
        moves by no more than the weights do. Their change has the squared length that is the sum of
        the products of the changes of coefficients and of F. The rest is for rounding: of the
        kernel, to single precision, and of the sums.
        """
        state, n = self.state, self.n
        change = state.y[:n] * (state.alpha[:n] - self.alpha_then)
        path = abs(change).sum()
        square = (change * (state.F[:n] - self.F_then)).sum()
        return float(np.sqrt(max(square, 0.0) + path**2 * 2.0**-23) + (path + 1) * 2.0**-23)

    def compute(self, places: NDArray) -> None:
        """Make F right where images are not active."""
        state, n = self.state, self.n
        (free,) = np.nonzero((state.alpha[:n] > 0) & (state.alpha[:n] < self.C))
        weights = state.alpha[free] * state.y[free]
        for noted in np.unique(state.noted[places]):
            (of_same,) = np.nonzero(state.noted[places] == noted)
            for part in gen_batches(len(of_same), BLOCK):
                at = places[of_same[part]]
                others, sums = self.images(state.image[at]), state.bound[at]
                self.add(self.notes[noted:], self.changes[noted:], others, sums)
                state.bound[at] = sums
                sums -= state.y[at]
                self.add(state.image[free], weights, others, sums)
                state.F[at] = sums
        state.noted[places] = len(self.notes)

    def add(self, rows: NDArray, weights: NDArray, others: Images, sums: NDArray) -> None:
        """Add the weighted rows of the kernel with some images to the ``sums`` of others."""
        places = np.zeros((len(rows), 1), dtype=np.intp)
        kernel = np.empty(len(sums), dtype=np.float32)
        images, squares = self.X[rows], self.squares[rows]
        add_rows(images, squares, weights[:, None], places, others, kernel, sums[None])

    def extremes(self, places: Any) -> tuple[float, float]:
        """The largest -F of those that may rise, and the largest F of those that may fall."""
        F, up, low = self.state.F[places], self.state.up[places], self.state.low[places]
        return np.max(-F[up], initial=-np.inf), np.max(F[low], initial=-np.inf)

    def shrink(self) -> None:
        """Set aside, as libsvm does, those that stay at their bound for now."""
        state, n, seen = self.state, self.n, self.n
        top, bottom = self.extremes(slice(n))
        self.moved += self.move()
        state.mark[:n], state.noted[:n] = self.moved, len(self.notes)
        if not self.has_looked_again and top + bottom <= 10 * TOLERANCE:
            self.has_looked_again, seen = True, len(state.y)
            far = self.moved - state.mark[n:]
            stays = np.where(state.up[n:], state.F[n:] - bottom, -state.F[n:] - top) > far
            places = n + np.flatnonzero(~stays)
            self.compute(places)
            state.mark[places] = self.moved
        up, low, F = state.up[:seen], state.low[:seen], state.F[:seen]
        gone = (up != low) & (np.where(up, F - bottom, -F - top) > 0)
        left = seen - int(np.count_nonzero(gone))
        # The last one that stays takes the place of the first one that goes, and so on.
        order, holes = np.arange(seen), np.flatnonzero(gone[:left])
        fillers = (left + np.flatnonzero(~gone[left:]))[::-1]
        order[holes], order[fillers] = fillers, holes
        for array in state:
            array[:seen] = array[:seen][order]
        self.activate(left)

    def is_optimal(self) -> bool:
        """Whether all images are optimal, as the active ones are; else all are active again."""
        state, n, n_all = self.state, self.n, len(self.state.y)
        if n == n_all:
            return True
        top, bottom = self.extremes(slice(n))
        far = self.moved + self.move() - state.mark[n:]
        stays = np.where(state.up[n:], state.F[n:] + top, bottom - state.F[n:]) > far
        self.compute(n + np.flatnonzero(~stays))
        others = self.extremes(n + np.flatnonzero(~stays))
        if max(top, others[0]) + max(bottom, others[1]) < TOLERANCE:
            return True
        self.compute(n + np.flatnonzero(stays))
        self.activate(n_all)
        return False

    def solve(self) -> Solved:
        """The solution, by libsvm's steps."""
        state, n_iter = self.state, 0
        between = steps = min(len(state.y), STEPS)
        while True:
            noted, changes = np.empty(2 * steps, dtype=np.intp), np.empty(2 * steps)
            done, n_notes, optimal = take_steps(
                steps, self.X, state, self.active, self.rows, self.C, TOLERANCE, noted, changes
            )
            n_iter += done
            self.notes = np.concatenate([self.notes, noted[:n_notes]])
            self.changes = np.concatenate([self.changes, changes[:n_notes]])
            if not optimal:
                self.shrink()
                steps = between
            elif self.is_optimal():
                break
            else:
                steps = 1
        free = (state.alpha > 0) & (state.alpha < self.C)
        if free.any():
            # One after another.
            rho = np.cumsum(state.F[free])[-1] / np.count_nonzero(free)
        else:
            top, bottom = self.extremes(slice(None))
            rho = (bottom - top) / 2
        weights = np.empty(len(state.y))
        weights[state.image] = state.alpha * state.y
        return Solved(weights, float(rho), n_iter)


def solve(
    first: NDArray[np.bool_], second: NDArray[np.bool_], C: float, gamma: float, X: NDArray
) -> Solved:
    """What tells the ``first`` images of ``X`` from the ``second``, in this order."""
    rows = np.concatenate([np.flatnonzero(first), np.flatnonzero(second)])
    y = np.where(first[rows], 1.0, -1.0)
    return Problem(np.ascontiguousarray(X[rows]), y, C, gamma).solve()


def coefficient(gamma: float | str, X: NDArray) -> float:
    """The kernel's coefficient: ``gamma``, or what scikit-learn calls ``scale`` or ``auto``.

    The variance of the pixels is that of whole numbers, rounded once; NumPy's, of doubles, may
    differ from it in the last places.
    """
    if gamma == "auto":
        return 1 / X.shape[1]
    if gamma == "scale":
        total, n = int(X.sum(dtype=np.int64)), X.size
        squares = int(sums_of_squares(X).sum(dtype=np.int64))
        variance = (n * squares - total**2) / n**2
        return 1 / (X.shape[1] * variance) if variance else 1.0
    return float(gamma)


def whole(X: NDArray) -> NDArray:
    """``X``, C-contiguous.

    Raises:
        TypeError: Its pixels are no unsigned whole numbers.
    """
    if X.dtype.kind != "u":
        raise TypeError(f"an SVC takes unsigned whole numbers, not {X.dtype}")
    return np.ascontiguousarray(X)


class OneVsOneSVC(SVC):
    """What :class:`sklearn.svm.SVC` with an RBF kernel learns from whole numbers, bit for bit.

    It has all that scikit-learn's own has when it is fitted, but its support vectors are whole
    numbers.

    Args:
        C: The inverse of the regularisation's strength.
        gamma: The kernel's coefficient, or ``scale`` or ``auto``.
    """

    def __init__(self, C: float, gamma: float | str) -> None:
        super().__init__(C=C, gamma=gamma)

    def problems(self, X: NDArray, y: NDArray) -> Iterator[Callable[[NDArray], Solved]]:
        """Yield what solves the problem of each pair of classes, given ``X``.

        Args:
            X: (n, n_pixels), unsigned whole numbers.
            y: (n,), of two classes or more.
        """
        X = whole(X)
        gamma = coefficient(self.gamma, X)
        self.training_ = X, y, gamma
        for one, other in combinations(np.unique(y), 2):
            yield partial(solve, y == one, y == other, self.C, gamma)

    def join(self, solved: Sequence[Solved]) -> "OneVsOneSVC":
        """This model, fitted: of the solutions of its ``problems``, in their order."""
        X, y, gamma = self.training_
        del self.training_
        classes = np.unique(y)
        of_class = [np.flatnonzero(y == label) for label in classes]
        weights = np.zeros((len(classes) - 1, len(y)))
        for (i, j), each in zip(combinations(range(len(classes)), 2), solved, strict=True):
            weights[j - 1, of_class[i]] = each.weights[: len(of_class[i])]
            weights[i, of_class[j]] = each.weights[len(of_class[i]) :]
        rows = np.concatenate(of_class)
        rows = rows[weights[:, rows].any(axis=0)]
        coefficients = np.ascontiguousarray(weights[:, rows])
        intercepts = 0.0 - np.array([each.rho for each in solved])
        n_iter = np.array([each.n_iter for each in solved], dtype=np.int32)
        # What training does not change, of an image of each class.
        super().fit(X[[part[0] for part in of_class]], classes)
        self.__dict__.update(
            support_=rows.astype(np.int32),
            support_vectors_=np.ascontiguousarray(X[rows]),
            shape_fit_=X.shape,
            # Of two classes, scikit-learn's scores are the second one's.
            dual_coef_=-coefficients if len(classes) == 2 else coefficients,
            intercept_=-intercepts if len(classes) == 2 else intercepts.copy(),
            n_iter_=n_iter,
            _n_support=np.array([np.isin(rows, part).sum() for part in of_class], dtype=np.int32),
            _dual_coef_=coefficients,
            _intercept_=intercepts,
            _num_iter=n_iter,
            _gamma=gamma,
        )
        return self

    def to_sklearn(self) -> SVC:
        """The fitted model as scikit-learn's own, which loads without this module."""
        model = SVC(C=self.C, gamma=self.gamma)
        vars(model).update(vars(self), support_vectors_=self.support_vectors_.astype(float))
        return model

    def fit(self, X: NDArray, y: ArrayLike) -> "OneVsOneSVC":
        """Fit on ``X`` (n, n_pixels) and ``y`` (n,), one pair of classes after another."""
        return self.join([solve(X) for solve in self.problems(X, np.asarray(y))])

    def _decision_function(self, X: NDArray) -> NDArray[np.float64]:
        """For each pair of classes, (n, n_pairs): above 0 for the first one, else for the second.

        Of two classes, (n,), above 0 for the second one. Each is a sum in the order of the support
        vectors, on any machine. :class:`~sklearn.svm.SVC` makes scores of them.
        """
        n_classes = len(self.classes_)
        pair = np.zeros((n_classes, n_classes), dtype=np.intp)
        pair[np.triu_indices(n_classes, 1)] = np.arange(len(self.intercept_))
        of_others = [np.delete(row, k) for k, row in enumerate(pair + pair.T)]
        places = np.repeat(of_others, self.n_support_, axis=0)
        squares, weights = sums_of_squares(self.support_vectors_), self.dual_coef_.T.copy()

        def decide(part: NDArray) -> NDArray[np.float64]:
            part = whole(part)
            others = Images(part.T.copy(), sums_of_squares(part), self._gamma)
            sums = np.zeros((len(self.intercept_), len(part)))
            kernel = np.empty(len(part))
            add_rows(self.support_vectors_, squares, weights, places, others, kernel, sums)
            return sums.T + self.intercept_

        tasks = (delayed(decide)(X[rows]) for rows in gen_batches(len(X), BATCH_SIZE))
        decisions = np.concatenate(Parallel(n_jobs=-1, prefer="threads")(tasks))
        return decisions if n_classes > 2 else decisions[:, 0]

    def predict(self, X: NDArray) -> NDArray:
        """The class with the most votes, (n,); of several, the first."""
        decisions, n_classes = self._decision_function(X), len(self.classes_)
        if n_classes == 2:
            return self.classes_[(decisions >= 0).astype(int)]
        votes = _ovr_decision_function(decisions <= 0, np.zeros_like(decisions), n_classes)
        return self.classes_[votes.argmax(axis=1)]


class OneVsRestSVC(OneVsRestClassifier):
    """A :class:`~sklearn.multiclass.OneVsRestClassifier` whose SVCs may be fitted anywhere.

    Args:
        estimator: An unfitted :class:`OneVsOneSVC`.
    """

    def problems(self, X: NDArray, y: NDArray) -> Iterator[Callable[[NDArray], Solved]]:
        """Yield what solves the problem of each class, or of two the second one's, given ``X``."""
        self.label_binarizer_ = LabelBinarizer(sparse_output=True).fit(y)
        self.classes_ = self.label_binarizer_.classes_
        positives = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        self.estimators_ = [clone(self.estimator) for _ in positives]
        for each, positive in zip(self.estimators_, positives, strict=True):
            yield from each.problems(X, (y == positive).astype(int))

    def join(self, solved: Sequence[Solved]) -> "OneVsRestSVC":
        """This model, fitted: of the solutions of its ``problems``, in their order."""
        for each, solution in zip(self.estimators_, solved, strict=True):
            each.join([solution])
        self.n_features_in_ = self.estimators_[0].n_features_in_
        return self

    def to_sklearn(self) -> OneVsRestClassifier:
        """The fitted model as scikit-learn's own, which loads without this module."""
        estimators = [each.to_sklearn() for each in self.estimators_]
        model = OneVsRestClassifier(SVC(C=self.estimator.C, gamma=self.estimator.gamma))
        vars(model).update(vars(self), estimator=model.estimator, estimators_=estimators)
        return model

    def fit(self, X: NDArray, y: ArrayLike) -> "OneVsRestSVC":
        """Fit on ``X`` (n, n_pixels) and ``y`` (n,), one class after another."""
        return self.join([solve(X) for solve in self.problems(X, np.asarray(y))])


def build(
    X: NDArray[Any], C: float, gamma: float | str, multiclass: str
) -> OneVsOneSVC | OneVsRestSVC:
    """An unfitted SVC; ``X`` plays no part.

    Args:
        X: All training images, (n, 784).
        C: The inverse of the regularisation's strength.
        gamma: The kernel's coefficient, or ``scale`` or ``auto``.
        multiclass: ``one_vs_one``, which an SVC does by itself, or ``one_vs_rest``.
    """
    svc = OneVsOneSVC(C, gamma)
    return svc if multiclass == "one_vs_one" else OneVsRestSVC(svc)
