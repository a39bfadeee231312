"""Training on support vectors, and on copies of them that are turned, stretched and moved a little.

DeCoste and Schölkopf, Training invariant support vector machines, Machine Learning 46 (2002),
section 3: the support vectors of a first machine hold what it has learned, and copies of them, the
virtual support vectors, teach a second one what makes no difference. The first one is here of a
fold's images each (Graf et al., Parallel support vector machines: the cascade SVM, NIPS 2004), so
that cross-validation and the training on all share them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

from stages.strokes.answer import Images
from stages.strokes.extract_features import SCALE, features, normalising, warped

MEGABYTES = 500


def fitted(X: NDArray[np.uint16], y: NDArray, C: float, gamma: float) -> SVC:
    """A one-vs-one machine on features (n, n_features), with an RBF kernel.

    scikit-learn's own: products of two rows of whole numbers are exact, and it rounds its kernel to
    single precision, so that the last bit of ``exp`` makes no difference.

    Args:
        X: Features.
        y: (n,).
        C: The inverse of the regularisation's strength.
        gamma: The kernel's coefficient, for features of length 1.
    """
    return SVC(C=C, gamma=gamma / SCALE**2, cache_size=MEGABYTES).fit(X.astype(float), y)


def fitted_on_copies(
    images: Images, y: NDArray, gamma: float, n_copies: int, values: Mapping[str, Any]
) -> SVC:
    """A machine on images and copies of them.

    Args:
        images: n of them.
        y: (n,).
        gamma: The kernel's coefficient, for features of length 1.
        n_copies: Of each image.
        values: The section of ``params.yaml``: ``C``, ``seed``, and ``strength``, up to which the
            numbers of a copy's affine map are drawn, 1 being half of an image.
    """
    maps, rng = normalising(images.pixels), np.random.default_rng(values["seed"])
    warps = rng.uniform(-values["strength"], values["strength"], (n_copies, len(y), 2, 3))
    copies = [features(images.pixels, warped(maps, warp)) for warp in warps]
    X = np.concatenate([images.features, *copies])
    return fitted(X, np.tile(y, 1 + n_copies), values["C"], gamma)
