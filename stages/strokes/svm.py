"""A support vector machine on features of strokes, and where it hesitates, a second opinion."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from stages.strokes.extract_features import SCALE, features, gradients, normalising, warped

# The kernel is rounded to 2**-20, a coefficient to 2**-12: sums of their products are exact.
KERNEL, COEFFICIENT = 2.0**20, 2.0**12
MEGABYTES_OF_CACHE = 500
BATCH_SIZE = 250


class Images(NamedTuple):
    """Images (n, 28, 28), and their features (n, n_features)."""

    pixels: NDArray[np.uint8]
    features: NDArray[np.uint16]

    def at(self, rows: NDArray) -> "Images":
        """Those at an index or a mask."""
        return Images(self.pixels[rows], self.features[rows])


class Ranking(NamedTuple):
    """The two likeliest classes of each image, (n,), and by how much the first of them wins.

    Below 1, the image is within the margin of that pair's support vector machine.
    """

    first: NDArray
    second: NDArray
    margin: NDArray[np.float64]


def fitted(X: NDArray[np.uint16], y: NDArray, C: float, gamma: float) -> Any:
    """A one-vs-one :class:`sklearn.svm.SVC` on features (n, n_features), with an RBF kernel.

    scikit-learn's own: products of two rows of whole numbers are exact, and it rounds its kernel to
    single precision, so that the last bit of ``exp`` makes no difference.

    Args:
        X: Features.
        y: (n,).
        C: The inverse of the regularisation's strength.
        gamma: The kernel's coefficient, for features of length 1.
    """
    # Here, so that who only asks an SVM does not wait for it.
    from sklearn.svm import SVC

    return SVC(C=C, gamma=gamma / SCALE**2, cache_size=MEGABYTES_OF_CACHE).fit(X.astype(float), y)


def virtual_maps(
    maps: NDArray[np.float64], n_virtual_copies: int, values: Mapping[str, Any]
) -> NDArray[np.float64]:
    """The maps (n, 2, 3) of images and then of their copies, (1 + n_virtual_copies, n, 2, 3).

    ``values`` have the ``seed``, and ``jitter``, up to which the numbers of a copy's affine map are
    drawn, 1 being half of an image.
    """
    rng, jitter = np.random.default_rng(values["seed"]), values["jitter"]
    warps = rng.uniform(-jitter, jitter, (n_virtual_copies, *maps.shape))
    return np.stack([maps, *(warped(maps, warp) for warp in warps)])


def fitted_on_copies(
    images: Images, y: NDArray, gamma: float, n_virtual_copies: int, values: Mapping[str, Any]
) -> Any:
    """An SVC on images and copies of them.

    Virtual support vectors: DeCoste and Schölkopf, Training invariant support vector machines,
    Machine Learning 46 (2002), section 3. The support vectors of a first SVM hold what it has
    learned; copies of them teach a second one what makes no difference.

    Args:
        images: n of them.
        y: (n,).
        gamma: The kernel's coefficient, for features of length 1.
        n_virtual_copies: Of each image.
        values: The section of ``params.yaml``: ``C``, and what :func:`virtual_maps` takes.
    """
    _, *maps = virtual_maps(normalising(images.pixels), n_virtual_copies, values)
    X = np.concatenate([images.features, *(features(images.pixels, each) for each in maps)])
    return fitted(X, np.tile(y, 1 + n_virtual_copies), values["C"], gamma)


def as_integers(svc: Any) -> dict[str, NDArray]:
    """What a fitted :class:`sklearn.svm.SVC` of :func:`features` has learned, as integers.

    Returns:
        ``support`` (n, n_features) by class, ``n_support`` (n_classes,), ``coefficients``
        (n, n_classes - 1), of the pairs with each other class, ``intercepts`` (n_pairs,),
        ``classes`` (n_classes,), and ``gamma`` ().
    """
    return {
        "support": svc.support_vectors_.astype(np.uint16),
        "n_support": svc.n_support_,
        # Of two classes, the public ones have the other sign.
        "coefficients": np.rint(svc._dual_coef_.T * COEFFICIENT).astype(np.int32),
        "intercepts": np.rint(svc._intercept_ * KERNEL * COEFFICIENT).astype(np.int64),
        "classes": svc.classes_,
        "gamma": np.array(svc.gamma),
    }


def ranked(learned: Mapping[str, NDArray], X: NDArray[np.uint16]) -> Ranking:
    """The two classes that win most pairs; among equals, those that win by more.

    Args:
        learned: What :func:`as_integers` returns.
        X: (n, n_features).
    """
    parts = (X[i : i + BATCH_SIZE] for i in range(0, len(X), BATCH_SIZE))
    tasks = (delayed(_ranked)(learned, part) for part in parts)
    columns = zip(*Parallel(n_jobs=-1, prefer="threads")(tasks), strict=True)
    return Ranking(*map(np.concatenate, columns))


def _ranked(learned: Mapping[str, NDArray], X: NDArray[np.uint16]) -> Ranking:
    classes, ends = learned["classes"], np.cumsum(learned["n_support"])
    n = len(classes)
    kernel = _squared(X, learned["support"])
    kernel = np.rint(np.exp(-learned["gamma"] * kernel) * KERNEL)
    wins = np.zeros((len(X), n, n))
    wins[:, *np.triu_indices(n, 1)] = learned["intercepts"]
    wins += wins.swapaxes(1, 2)
    for i, (end, size) in enumerate(zip(ends, learned["n_support"], strict=True)):
        of_class, others = slice(end - size, end), np.arange(n) != i
        part = kernel[:, of_class] @ learned["coefficients"][of_class].astype(float)
        wins[:, i, others] += part
        wins[:, others, i] += part
    # For the first class of a pair, and so against the second.
    wins *= np.sign(np.arange(n) - np.arange(n)[:, None]) / (KERNEL * COEFFICIENT)
    score = 2 * n * (wins > 0).sum(axis=2) + wins.clip(-1, 1).sum(axis=2)
    first, second = np.argsort(-score, axis=1, kind="stable")[:, :2].T
    return Ranking(classes[first], classes[second], wins[np.arange(len(wins)), first, second])


def _squared(queries: NDArray[np.uint16], candidates: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Squared distances, exact: in single precision too, what is below 2**24 is."""
    q, a = queries.astype(np.float32), candidates.astype(np.float32)
    lengths = np.add.outer((q * q).sum(axis=1), (a * a).sum(axis=1))
    return (lengths - 2 * (q @ a.T)).astype(float)


def deformed(
    query: NDArray[np.int32], others: NDArray[np.int32], max_displacement: int
) -> NDArray[np.int64]:
    """The distance to each of ``others`` when each pixel may move, and its neighbours with it.

    The image distortion model with local context of Keysers, Deselaers, Gollan and Ney, Deformation
    models for image recognition, PAMI 29 (2007), section 3.4.

    Args:
        query: (2, side, side), a gradient.
        others: (n, 2, side, side).
        max_displacement: By how many pixels each may move, at most, to each side.
    """
    side = query.shape[-1]
    padded = np.pad(
        others,
        (
            (0, 0),
            (0, 0),
            (max_displacement, max_displacement),
            (max_displacement, max_displacement),
        ),
    )
    least = np.full((len(others), side, side), np.iinfo(np.int32).max, dtype=np.int32)
    for down in range(2 * max_displacement + 1):
        for right in range(2 * max_displacement + 1):
            apart = query - padded[:, :, down : down + side, right : right + side]
            apart = np.pad((apart * apart).sum(axis=1, dtype=np.int32), ((0, 0), (1, 1), (1, 1)))
            apart = apart[:, :-2] + apart[:, 1:-1] + apart[:, 2:]
            apart = apart[:, :, :-2] + apart[:, :, 1:-1] + apart[:, :, 2:]
            np.minimum(least, apart, out=least)
    return least.sum(axis=(1, 2), dtype=np.int64)


def nearest(
    queries: NDArray[np.uint16], labels: NDArray, candidates: NDArray[np.uint16], y: NDArray, n: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each query, the nearest images of its class: their rows, and squared distances.

    Args:
        queries: (n, n_features).
        labels: (n,), the class in which to look for each.
        candidates: (m, n_features).
        y: (m,), their classes.
        n: How many of each, or as many as the class has.

    Returns:
        By increasing distance, then row.
    """
    found: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
    for label in np.unique(labels):
        asked, of_class = np.flatnonzero(labels == label), np.flatnonzero(y == label)
        squared = _squared(queries[asked], candidates[of_class]).astype(np.int64)
        # With its row, no distance is there twice.
        keys = np.partition(squared << 32 | of_class, min(n, len(of_class)) - 1, axis=1)
        for query, key in zip(asked, np.sort(keys[:, :n], axis=1), strict=True):
            found[int(query)] = key & (2**32 - 1), key >> 32
    return [found[query] for query in range(len(labels))]


def class_distances(
    queries: Images, labels: NDArray, train: Images, y: NDArray, values: Mapping[str, Any]
) -> NDArray[np.int64]:
    """The least :func:`deformed` distance of each query to the nearest images of its class, (n,).

    Args:
        queries: n of them.
        labels: (n,), the class of each.
        train: The images to compare with.
        y: Their classes.
        values: ``n_nearest``, with how many images of the class each is compared, and
            ``max_displacement``.
    """

    def least(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> int:
        images = np.concatenate([pixels[None], train.pixels[rows]])
        gradient = gradients(images, normalising(images))
        return int(deformed(gradient[0], gradient[1:], int(values["max_displacement"])).min())

    found = nearest(queries.features, labels, train.features, y, int(values["n_nearest"]))
    pairs = zip(queries.pixels, found, strict=True)
    tasks = (delayed(least)(pixels, rows) for pixels, (rows, _) in pairs)
    return np.array(Parallel(n_jobs=-1, prefer="threads")(tasks), dtype=np.int64)


def second_opinion(
    ranking: Ranking, queries: Images, train: Images, y: NDArray, values: Mapping[str, Any]
) -> NDArray[np.float64]:
    """How much nearer the first class is than the second, from -1 to 1; 0 beyond the margin.

    Args:
        ranking: Of the queries.
        queries: n of them.
        train: The images to compare with.
        y: Their classes.
        values: ``n_nearest`` and ``max_displacement``, as :func:`class_distances` takes them.
    """
    opinion, asked = np.zeros(len(ranking.margin)), np.flatnonzero(ranking.margin < 1)
    first, second = (
        class_distances(queries.at(asked), labels[asked], train, y, values)
        for labels in (ranking.first, ranking.second)
    )
    opinion[asked] = (second - first) / np.maximum(second + first, 1)
    return opinion


def apply_second_opinion(ranking: Ranking, opinion: NDArray[np.float64], weight: float) -> Ranking:
    """The ranking after a second opinion of such weight, which may exchange the two classes."""
    margin = ranking.margin + weight * opinion
    first = np.where(margin > 0, ranking.first, ranking.second)
    second = np.where(margin > 0, ranking.second, ranking.first)
    return Ranking(first, second, abs(margin))
