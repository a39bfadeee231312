"""No cross-validation sees the fold that it asks about."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from stages.common.folds import fold_numbers
from stages.data.sources import Mnist
from stages.models import forest, sgd, svc
from stages.models.fit import fit_each, out_of_fold_scores, outside_each
from stages.neighbors.evaluate_multilabel import multilabels, out_of_fold_predictions
from stages.neighbors.search import nearest
from stages.strokes.choose_svm import cross_validated
from stages.strokes.extract_features import features, normalising
from stages.strokes.svm import Images

# Nor does the fit of 200 digits always converge.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N, N_FOLDS = 150, 3
FOLDS = fold_numbers(KFold(N_FOLDS), np.arange(N))
STROKES = {"C": 10, "gamma": [3, 1], "n_virtual_copies": [0, 1], "weight": [0, 5]}
STROKES |= {"jitter": 0.1, "seed": 0, "n_nearest": 1, "max_displacement": 0}


def fitted(build: Callable[..., Any], images: NDArray, y: NDArray, **values: Any) -> NDArray:
    X = images.reshape(N, -1)
    models = fit_each(build(X, **values), X, y, outside_each(FOLDS), "fit")
    return out_of_fold_scores(models, X, FOLDS, np.arange(10))


def multilabel(images: NDArray[np.uint8], y: NDArray) -> NDArray:
    # Of so few neighbours, some images have too few outside of their fold.
    found = dict(zip(("indices", "squared_distances"), nearest(images, images, 6), strict=True))
    return out_of_fold_predictions(found, images, multilabels(y, 7), 5, N_FOLDS)


def strokes(images: NDArray[np.uint8], y: NDArray) -> NDArray:
    found = Images(images, features(images, normalising(images)))
    return np.moveaxis(cross_validated(found, y, FOLDS, STROKES)[0], -1, 0)


ANSWERS = {
    "sgd": partial(fitted, sgd.build, max_iter=20, tol=1e-3, seed=0, scale="each_fold"),
    "forest": partial(fitted, forest.build, n_estimators=10, seed=0),
    "svc": partial(fitted, svc.build, C=1.0, gamma="auto", multiclass="one_vs_one"),
    "multilabel": multilabel,
    "strokes": strokes,
}


@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_depends_on_its_image_and_on_the_other_folds(
    digits: Mnist, answers: Callable[..., NDArray]
) -> None:
    """Not on the labels of its own fold, nor on the other images there."""
    images, y = digits[0][:N], digits[1][:N]
    inside = FOLDS == 1
    changed, kept = inside & (np.arange(N) % 2 == 0), inside & (np.arange(N) % 2 == 1)
    others, labels = images.copy(), np.where(inside, (y + 1) % 10, y)
    others[changed] = digits[0][N : N + changed.sum()]
    before, after = answers(images, y), answers(others, labels)
    np.testing.assert_array_equal(before[kept], after[kept])
    # While those of the other folds do.
    assert not np.array_equal(before[~inside], after[~inside])
