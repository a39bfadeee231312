"""Out-of-fold scores and trained models, against scikit-learn's own ways."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import (
    KFold,
    PredefinedSplit,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from stages import fit_binary_sgd
from stages._accelerator import svc_class
from stages._answers import answers
from stages._errors import UserError
from stages._folds import fold_numbers
from stages._scores import scores
from stages._sgd import OneVsRestSGD
from stages._sources import Mnist
from stages.cross_validate import SPLITTERS, out_of_fold_scores
from stages.models import forest, never, ovr_svc, sgd, sgd_scaled, svc
from stages.train import fit
from tests.clone import ROOT
from tests.test_params import edited

PARAMS = ROOT / "params.yaml"
# Not every fit on 600 digits converges; the figures are compared all the same.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def small(digits: Mnist) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return digits[0][:600].reshape(600, -1), digits[1][:600]


@pytest.mark.parametrize("task", ["binary", "digits"])
def test_sgd_scores_are_cross_val_predicts(small: Mnist, task: str) -> None:
    X, digits = small
    y = digits == 5 if task == "binary" else digits
    ours = out_of_fold_scores(sgd.build(PARAMS, X), X, y, fold_numbers(StratifiedKFold(3), y))
    theirs = cross_val_predict(
        SGDClassifier(max_iter=1000, tol=1e-3, random_state=42),
        X.astype(np.float64),
        y,
        cv=3,
        method="decision_function",
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("task", ["binary", "digits"])
@pytest.mark.parametrize("scaled", [False, True])
def test_sgd_is_scikit_learns_bit_for_bit(small: Mnist, task: str, scaled: bool) -> None:
    X, y = small[0].astype(np.float64), small[1] == 5 if task == "binary" else small[1]
    X = StandardScaler().fit_transform(X) if scaled else X
    assert not X.any(axis=0).all()
    ours = OneVsRestSGD(max_iter=100, tol=1e-3, random_state=7).fit(X, y)
    theirs = SGDClassifier(max_iter=100, tol=1e-3, random_state=7).fit(X, y)
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    np.testing.assert_array_equal(ours.intercept_, theirs.intercept_)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_forest_scores_are_cross_val_predicts(small: Mnist) -> None:
    X, y = small[0], small[1] == 5
    ours = out_of_fold_scores(forest.build(PARAMS, X), X, y, fold_numbers(StratifiedKFold(3), y))
    theirs = cross_val_predict(
        RandomForestClassifier(n_estimators=100, random_state=42),
        X,
        y,
        cv=3,
        method="predict_proba",
    )
    np.testing.assert_array_equal(ours, theirs[:, 1])


def test_the_notebooks_scaler_sees_every_fold_and_a_fold_scaler_its_own(
    small: Mnist, tmp_path: Path
) -> None:
    X, y = small
    folds = fold_numbers(StratifiedKFold(3), y)
    model = SGDClassifier(max_iter=1000, tol=1e-3, random_state=42)
    leaking = out_of_fold_scores(sgd_scaled.build(PARAMS, X), X, y, folds)
    expected = cross_val_predict(
        model, StandardScaler().fit_transform(X), y, cv=3, method="decision_function"
    )
    np.testing.assert_allclose(leaking, expected, rtol=1e-9, atol=1e-6)
    per_fold = sgd_scaled.build(edited(tmp_path, "sgd_scaled.scale_per_fold", True), X)
    honest = out_of_fold_scores(per_fold, X, y, folds)
    expected = cross_val_predict(
        make_pipeline(StandardScaler(), model), X, y, cv=3, method="decision_function"
    )
    np.testing.assert_allclose(honest, expected, rtol=1e-9, atol=1e-6)
    assert not np.allclose(honest, leaking)


def test_never_has_the_accuracy_of_the_notebooks_own_class(small: Mnist) -> None:
    class Never5(BaseEstimator):
        def fit(self, X: Any, y: Any) -> "Never5":
            self.n_ = len(X), len(y)
            return self

        def predict(self, X: Any) -> NDArray[np.bool_]:
            return np.zeros((len(X), 1), dtype=bool)

    X, y = small[0], small[1] == 5
    theirs = cross_val_score(Never5(), X, y, cv=3, scoring="accuracy")
    folds = fold_numbers(SPLITTERS["in_order"](3), y)
    found = out_of_fold_scores(never.build(PARAMS, X), X, y, folds)
    ours = [np.mean((found[folds == fold] > 0.5) == y[folds == fold]) for fold in range(3)]
    np.testing.assert_array_equal(ours, theirs)


def test_fold_numbers_are_the_splitters_folds(small: Mnist) -> None:
    y = small[1]
    for splitter in (
        StratifiedKFold(3),
        StratifiedKFold(3, shuffle=True, random_state=1),
        KFold(3),
    ):
        ours = PredefinedSplit(fold_numbers(splitter, y)).split()
        for (_, mine), (_, theirs) in zip(ours, splitter.split(y, y), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_the_sgd_detector_is_scikit_learns_on_both_cuts_and_on_all(
    digits: Mnist, tmp_path: Path
) -> None:
    inputs = {
        "images": digits[0][:600],
        "labels": digits[1][:600],
        "test_images": digits[0][600:700],
    }
    for name, array in inputs.items():
        np.save(tmp_path / f"{name}.npy", array)
    outs = {cut: tmp_path / f"{cut}.npz" for cut in ("shuffled", "stratified")}
    fit_binary_sgd.main(
        PARAMS,
        **{name: tmp_path / f"{name}.npy" for name in inputs},
        scores=outs,  # type: ignore[arg-type]
        answers_out=tmp_path / "answers.npz",
        model_out=tmp_path / "model.joblib",
    )
    X, y = digits[0][:600].reshape(600, -1).astype(np.float64), digits[1][:600] == 5
    model = SGDClassifier(max_iter=1000, tol=1e-3, random_state=42)
    for cut, splitter in (
        ("shuffled", StratifiedKFold(3, shuffle=True, random_state=42)),
        ("stratified", StratifiedKFold(3)),
    ):
        theirs = cross_val_predict(model, X, y, cv=splitter, method="decision_function")
        ours = np.load(outs[cut])
        np.testing.assert_allclose(ours["scores"], theirs, rtol=1e-9, atol=1e-6)
        np.testing.assert_array_equal(ours["folds"], fold_numbers(splitter, y))
    trained = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(trained.coef_, model.fit(X, y).coef_)
    test = inputs["test_images"].reshape(100, -1)
    np.testing.assert_array_equal(
        np.load(tmp_path / "answers.npz")["predictions"], model.predict(test.astype(np.float64))
    )


def test_scores_do_not_depend_on_how_many_images_are_scored(small: Mnist) -> None:
    X, y = small
    model = sgd.build(PARAMS, X).fit(X, y)
    np.testing.assert_array_equal(scores(model, X)[:1], scores(model, X[:1]))
    np.testing.assert_allclose(scores(model, X), model.decision_function(X), rtol=1e-9, atol=1e-6)


def test_scores_of_a_model_without_decision_function() -> None:
    model = DummyClassifier(strategy="prior").fit(np.zeros((4, 1)), [0, 0, 0, 1])
    assert scores(model, np.zeros((2, 1))).tolist() == [0.25, 0.25]


def test_answers_of_the_svcs_are_scikit_learns(small: Mnist) -> None:
    X, y = small[0].astype(np.float32), small[1]
    one = answers(fit(svc.build(PARAMS, X), X, y), X[:1], X[300:], 4)
    plain = SVC().fit(X.astype(np.float64), y)
    np.testing.assert_allclose(
        one["first_scores"], plain.decision_function(X[:1].astype(np.float64))[0], atol=2e-3
    )
    assert one["first_prediction"] == plain.predict(X[:1])[0]
    np.testing.assert_array_equal(one["predictions"], plain.predict(X[300:].astype(np.float64)))
    assert [int(one["n_estimators"]), int(one["n_problems"])] == [1, 45]
    ten = answers(fit(ovr_svc.build(PARAMS, X), X, y), X[:1], X[300:], 2)
    rest = OneVsRestClassifier(SVC()).fit(X.astype(np.float64), y)
    np.testing.assert_array_equal(ten["predictions"], rest.predict(X[300:].astype(np.float64)))
    assert [int(ten["n_estimators"]), int(ten["n_problems"])] == [10, 10]


def test_answers_of_a_detector(small: Mnist) -> None:
    X, y = small[0], small[1] == 5
    model = fit(forest.build(PARAMS, X), X, y)
    found = answers(model, X[:1], X[:50], 4)
    np.testing.assert_allclose(found["first_scores"], model.predict_proba(X[:1])[:, 1], atol=5e-5)
    np.testing.assert_array_equal(found["predictions"], model.predict(X[:50]))
    assert found["n_estimators"] == 100


def test_accelerator_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITLINE_ACCELERATOR", "off")
    assert svc_class() is SVC
    monkeypatch.setenv("DIGITLINE_ACCELERATOR", "fast")
    with pytest.raises(UserError, match="'fast', but should be auto, on or off"):
        svc_class()
    monkeypatch.setattr("stages._accelerator.find_spec", lambda _: None)
    monkeypatch.delenv("DIGITLINE_ACCELERATOR")
    assert svc_class() is SVC
    monkeypatch.setenv("DIGITLINE_ACCELERATOR", "on")
    with pytest.raises(UserError, match="not installed"):
        svc_class()
