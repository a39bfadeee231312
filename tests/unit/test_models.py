"""Out-of-fold scores and trained models, against scikit-learn's own ways."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stages.common.arrays import load_group
from stages.common.folds import fold_numbers
from stages.data.sources import Mnist
from stages.models import dummy, fit, forest, sgd
from stages.models.fit import (
    assign_folds,
    fit_each,
    out_of_fold_scores,
    outside_each,
    predictions,
    scores,
)

# Not every fit on 600 digits converges; the figures are compared all the same.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PLAIN = SGDClassifier(max_iter=30, tol=1e-3, random_state=42)


@pytest.fixture(scope="module")
def small(digits: Mnist) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return digits[0][:600].reshape(600, -1), digits[1][:600]


def linear(X: NDArray, scale: str = "none") -> sgd.OneVsRestSGD:
    """The notebook's SGD, as the stage builds it."""
    return sgd.build(X, max_iter=30, tol=1e-3, seed=42, scale=scale)


def cross_validated(model: BaseEstimator, X: NDArray, y: NDArray, folds: Any) -> NDArray:
    """The out-of-fold scores of a model, as the stage computes them."""
    fitted = fit_each(model, X, y, outside_each(folds), "fit")
    return out_of_fold_scores(fitted, X, folds, np.unique(y))


def everything(model: BaseEstimator, X: NDArray, y: NDArray) -> Any:
    """The model trained on all images, as the stage trains it."""
    return fit_each(model, X, y, [np.full(len(y), True)], "fit")[0]


def assert_is_scikit_learns(X: NDArray, y: NDArray, scaled: bool, **values: Any) -> None:
    """Alone, and as a stage fits it, SGD has scikit-learn's bits, and becomes its own class."""
    model = sgd.OneVsRestSGD(scaler=StandardScaler() if scaled else None, **values)
    pixels = StandardScaler().fit_transform(X) if scaled else X.astype(np.float64)
    theirs = SGDClassifier(**values).fit(pixels, y)
    for ours in (model.fit(X, y), everything(model, X, y)):
        plain: Any = ours.to_sklearn()
        for each in (ours, plain):
            np.testing.assert_array_equal(each.predict(X), theirs.predict(pixels))
        last = plain[-1] if scaled else plain
        assert type(last) is SGDClassifier
        for name in ("coef_", "intercept_", "classes_", "n_iter_", "t_", "n_features_in_"):
            np.testing.assert_array_equal(getattr(last, name), getattr(theirs, name), name)
        assert last.get_params() == theirs.get_params()
    found, expected = ours.decision_function(X), theirs.decision_function(pixels)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6)
    # Whatever else is asked.
    np.testing.assert_array_equal(found[:1], ours.decision_function(X[:1]))


@pytest.mark.parametrize("seed", range(60))
def test_sgd_is_scikit_learns_on_any_images(seed: int) -> None:
    """Of any size, dark or bright, blank pixels among them, ended by tol or by max_iter."""
    random = np.random.RandomState(seed)
    n, n_pixels, n_classes = random.randint(2, 120), random.randint(1, 40), random.randint(2, 5)
    lit = random.uniform(size=(n, n_pixels)) < random.uniform()
    X = (random.randint(0, random.choice([2, 256]), lit.shape) * lit).astype(np.uint8)
    X[:, random.uniform(size=n_pixels) < 0.2] = 0
    y = np.append([0, 1], random.randint(0, n_classes, n - 2))
    tol, max_iter = random.choice([1e-3, 0.0, 10.0, 1e-6]), int(random.randint(1, 60))
    assert_is_scikit_learns(X, y, seed % 2 == 1, max_iter=max_iter, tol=tol, random_state=seed)


def test_the_margin_covers_every_order_of_a_sum(small: Mnist) -> None:
    """A score in any order, and scikit-learn's, are nearer than a quarter of what is allowed."""
    X, random = small[0][:, small[0].any(axis=0)], np.random.RandomState(0)
    n_pixels, scaler = X.shape[1], StandardScaler().fit(X)
    on_pixels = np.empty(n_pixels)
    for w in random.normal(size=(20, n_pixels)) * 10.0 ** random.randint(-9, 9, (20, 1)):
        subtract, most = sgd.prepare(w, scaler.mean_, 1 / scaler.scale_, on_pixels)
        for row, scaled in zip(X[:10], scaler.transform(X[:10]), strict=True):
            difference = sgd.approximate_dot(on_pixels, row) - subtract - np.cumsum(w * scaled)[-1]
            assert abs(difference) < sgd.margin(n_pixels) * most / 4


def test_scores_are_cross_val_predicts_whichever_images_the_scaler_sees(small: Mnist) -> None:
    """All of them as the notebook's, or those of a fold; of none, the stage's test has them."""
    X, y = small
    folds, found = assign_folds("stratified", y, 3), {}
    for scale, model, pixels in (
        ("all_images", PLAIN, StandardScaler().fit_transform(X)),
        ("each_fold", make_pipeline(StandardScaler(), PLAIN), X),
    ):
        found[scale] = cross_validated(linear(X, scale=scale), X, y, folds)
        expected = cross_val_predict(model, pixels, y, cv=3, method="decision_function")
        np.testing.assert_allclose(found[scale], expected, rtol=1e-9, atol=1e-6)
    assert not np.allclose(found["each_fold"], found["all_images"])


@pytest.mark.parametrize("strategy", ["most_frequent", "prior"])
def test_a_model_is_of_the_parameters_it_is_told(small: Mnist, strategy: str) -> None:
    """None is scikit-learn's default by chance."""
    X, y = small[0][:300], small[1][:300] == 5
    folds = assign_folds("stratified", y, 3)
    theirs = RandomForestClassifier(n_estimators=7, random_state=3)
    for ours, model in (
        (dummy.build(X, strategy=strategy), DummyClassifier(strategy=strategy)),
        (forest.build(X, n_estimators=7, seed=3), theirs),
    ):
        expected = cross_val_predict(model, X, y, cv=3, method="predict_proba")[:, 1]
        np.testing.assert_array_equal(cross_validated(ours, X, y, folds), expected)


@pytest.mark.parametrize(
    ("folds", "splitter", "on_all"),
    [
        ("shuffled", StratifiedKFold(3, shuffle=True, random_state=42), True),
        ("stratified", StratifiedKFold(3), True),
        ("in_order", KFold(3), False),
    ],
)
def test_the_stage_is_scikit_learn_on_folds_and_on_all(
    digits: Mnist, tmp_path: Path, folds: Any, splitter: Any, on_all: bool
) -> None:
    params, out, images = tmp_path / "params.yaml", tmp_path / "out", digits[0][:700]
    params.write_text(
        "cross_validate: {n_folds: 3, shuffle_seed: 42}\n"
        "sgd: {max_iter: 30, tol: 0.001, seed: 42, scale: none}\n"
    )
    rows, y = images.reshape(700, -1).astype(np.float64), digits[1][:600] == 5
    inputs = {"images": images[:600], "labels": y, "test_images": images[600:]}
    paths = {name: tmp_path / f"{name}.npy" for name in inputs}
    for name, array in inputs.items():
        np.save(paths[name], array)
    fit.main(params, "sgd", "sgd", folds, on_all, out=out, **paths)
    assert {path.name for path in out.iterdir()} == {"out_of_fold.npz"} | (
        {"model.sha256", "model.skops", "predictions.npz"} if on_all else set()
    )
    theirs = cross_val_predict(PLAIN, rows[:600], y, cv=splitter, method="decision_function")
    ours = load_group(out / "out_of_fold.npz")
    np.testing.assert_allclose(ours["scores"], theirs, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(ours["folds"], fold_numbers(splitter, y))
    if on_all:
        model, trained = PLAIN.fit(rows[:600], y), skops.io.load(out / "model.skops")
        np.testing.assert_array_equal(trained.coef_, model.coef_)
        said = load_group(out / "predictions.npz")["predictions"]
        np.testing.assert_array_equal(said, model.predict(rows[600:]))


@pytest.mark.parametrize("known", [[0, 1, 2], [3, 5]])
def test_a_score_is_of_a_class_and_of_one_never_seen_the_lowest(
    small: Mnist, known: list[int]
) -> None:
    """As in a fold, where the images are sorted by their class; a target is a class, too."""
    X, y = small
    there = np.isin(y, known)
    for model, lowest in ((linear(X), -np.inf), (forest.build(X, n_estimators=20, seed=42), 0)):
        fitted = everything(model, X[there], y[there])
        found = scores(fitted, X, np.arange(10))
        assert (np.delete(found, known, axis=1) == lowest).all()
        np.testing.assert_array_equal(found.argmax(axis=1), fitted.predict(X))
    none = everything(DummyClassifier(strategy="prior"), X, y == 10)
    assert (scores(none, X, np.array([False, True])) == 0).all()


def test_predictions_have_the_weights_of_a_linear_model_of_the_pixels(small: Mnist) -> None:
    X, y = small
    for scale, (labels, problems) in product(("none", "each_fold"), ((y == 5, 1), (y, 10))):
        model = everything(linear(X, scale=scale), X, labels)
        found = predictions(model, X[:1], X[:50], np.unique(labels))
        # Of a pipeline it is the last step whose problems are counted.
        assert [int(found["n_estimators"]), int(found["n_problems"])] == [1, problems]
        assert ("weights" in found) == (scale == "none")
        if scale == "none":
            ours = (X[:50] @ found["weights"].T + found["intercepts"]).squeeze()
            theirs = PLAIN.fit(X, labels).decision_function(X[:50])
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
