"""The SVCs against scikit-learn's, bit for bit, and the same bits on any machine."""

import hashlib
from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config
from numpy.typing import NDArray
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC

from stages.data.sources import Mnist
from stages.models import svc
from stages.models.fit import fit_each, predictions, scores
from stages.models.saved import save_model
from stages.models.svc import Images, OneVsOneSVC, build, coefficient, kernel_row
from tests.support import IS_X86

LEARNED = ("support_", "support_vectors_", "n_support_", "dual_coef_", "intercept_", "n_iter_")
DIGEST = "0cf11204e36027e7c5a320d2e7e0ef7c42d78ca780fcbd7d32ade8da99011f7f"


def assert_same(ours: OneVsOneSVC, theirs: SVC) -> None:
    """The same bits, or on other CPUs, the same within the tolerance."""
    for name in LEARNED if IS_X86 else ():
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


@pytest.fixture
def digits(digits: Mnist) -> Mnist:
    """A row of pixels for each image."""
    return digits[0].reshape(5000, -1), digits[1]


def problem(X: NDArray[np.uint8], y: NDArray, rng: np.random.Generator) -> Mnist:
    """A random one: digits or noise, of two to five classes, some images twice."""
    rows = rng.permutation(5000)[: rng.choice([20, 60, 200, 600])]
    X, y = X[rows], y[rows] % rng.integers(2, 6)
    if rng.random() < 0.2:
        X = rng.integers(0, 256, (len(X), 37)).astype(np.uint8)
    if rng.random() < 0.2:
        y = rng.permutation(y)
    if rng.random() < 0.3:
        again = rng.integers(0, len(X), len(X))
        X, y = X[again], y[again]
        y = np.where(rng.random(len(y)) < rng.choice([0, 0.1]), 0, y)
    if rng.random() < 0.2:
        # A class of one image.
        y = np.where(np.arange(len(y)) == 3, 7, np.minimum(y, 1))
    return X, y


@pytest.mark.parametrize("seed", range(40))
def test_an_svc_is_scikit_learns_bit_for_bit(
    digits: Mnist, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    X, y = problem(*digits, rng)
    C, tolerance = rng.choice([0.01, 0.1, 1, 3, 10, 100, 1000]), rng.choice([1e-2, 1e-3, 1e-5])
    gamma = coefficient("scale", X) * rng.choice([0.05, 0.5, 1, 1, 1, 5, 50])
    # From two rows up.
    monkeypatch.setattr(svc, "BYTES_OF_CACHE", int(rng.choice([0, 2**12, 2**16, 2**26])))
    monkeypatch.setattr(svc, "TOLERANCE", tolerance)
    ours = OneVsOneSVC(C, gamma).fit(X, y)
    theirs = SVC(C=C, gamma=gamma, tol=tolerance).fit(X.astype(float), y)
    assert_same(ours, theirs)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X.astype(float)))


@pytest.mark.parametrize(
    ("n", "noise", "factor", "C", "tolerance", "seed"),
    [
        (300, 0.2, 0.1, 100, 1e-3, 0),
        (600, 0.1, 0.5, 10, 1e-5, 0),
        (2500, 0.0, 5.0, 0.001, 1e-3, 0),
        (2500, 0.5, 0.05, 0.1, 1e-5, 2),
    ],
)
def test_what_is_set_aside_is_taken_up_again_as_by_libsvm(
    digits: Mnist,
    n: int,
    noise: float,
    factor: float,
    C: float,
    tolerance: float,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where some are sure to stay; where no coefficient is free; and what is not optimal yet."""
    monkeypatch.setattr(svc, "TOLERANCE", tolerance)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(5000)[:n]
    X, y = digits[0][rows], digits[1][rows] % 2
    y = np.where(rng.random(n) < noise, 1 - y, y)
    gamma = coefficient("scale", X) * factor
    ours = OneVsOneSVC(C, gamma).fit(X, y)
    assert_same(ours, SVC(C=C, gamma=gamma, tol=tolerance).fit(X.astype(float), y))


@pytest.mark.parametrize("multiclass", ["one_vs_one", "one_vs_rest"])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_what_a_stage_fits_is_scikit_learns(
    digits: Mnist, tmp_path: Path, multiclass: str, n_classes: int
) -> None:
    """To the last byte of the saved model; what it says depends on no thread and no other image."""
    X, y = digits[0], np.minimum(digits[1], n_classes - 1)
    model = build(X, C=3.0, gamma="scale", multiclass=multiclass)
    (ours,) = fit_each(model, X[:500], y[:500], [np.full(500, True)], "fit")
    svm = SVC(C=3.0, gamma="scale")
    theirs = svm if multiclass == "one_vs_one" else OneVsRestClassifier(svm)
    theirs.fit(X[:500].astype(float), y[:500])
    # However scikit-learn rounds the variance of the pixels.
    for each in getattr(theirs, "estimators_", [theirs]):
        each._gamma = coefficient("scale", X[:500])
    saved = [tmp_path / "ours.skops", tmp_path / "theirs.skops"]
    for path, each in zip(saved, (ours.to_sklearn(), theirs), strict=True):
        save_model(path, each)
    assert saved[0].read_bytes() == saved[1].read_bytes() or not IS_X86
    classes, found = np.arange(n_classes), []
    for threads in (1, 4):
        with parallel_config("threading", n_jobs=threads):
            found.append(scores(ours, X, classes))
    np.testing.assert_array_equal(found[0], found[1])
    # Of thousands of images, each as if it were the first.
    for part in (slice(7, 8), slice(1000, 1129), slice(3, 4003)):
        np.testing.assert_array_equal(scores(ours, X[part], classes), found[0][part])
    expected = scores(theirs, X[::7].astype(float), classes)
    np.testing.assert_allclose(found[0][::7], expected, atol=1e-9 if IS_X86 else 2e-3)
    answers = predictions(ours, X[:1], X[::7], classes)
    np.testing.assert_array_equal(answers["predictions"], theirs.predict(X[::7].astype(float)))
    np.testing.assert_array_equal(answers["first_scores"], found[0][0])
    n = n_classes if n_classes > 2 else 1
    expected_sizes = [1, n * (n - 1) // 2 or 1] if multiclass == "one_vs_one" else [n, n]
    assert [int(answers["n_estimators"]), int(answers["n_problems"])] == expected_sizes


def test_the_same_bits_on_any_machine(digits: Mnist) -> None:
    """What was found on x86-64."""
    X, y = digits
    ours = OneVsOneSVC(10.0, "scale").fit(X[::7], y[::7])
    digest = hashlib.sha256()
    for values in [*(getattr(ours, name) for name in LEARNED), ours.decision_function(X[::11])]:
        digest.update(np.asarray(values, dtype="<f8").tobytes())
    assert digest.hexdigest() == DIGEST


def test_gamma_is_scikit_learns_but_for_rounding(digits: Mnist) -> None:
    X = digits[0][:777]
    for gamma, of in (("scale", X), ("auto", X), (0.5, X), ("scale", np.zeros_like(X))):
        theirs = SVC(gamma=gamma).fit(of.astype(float), np.arange(777) % 2)._gamma
        assert coefficient(gamma, of) == pytest.approx(theirs, rel=1e-12, abs=0)


def test_a_tie_is_answered_as_scikit_learn_does() -> None:
    """An image in the middle of two, of three, and one that no support vector is near to."""
    X = np.array([[0, 0], [0, 200], [200, 0], [200, 200]], dtype=np.uint8)
    asked = np.array([[100, 100], [0, 100], [100, 0], [255, 255]], dtype=np.uint8)
    for y in ([0, 1, 1, 0], [0, 1, 2, 2], [0, 1, 2, 3], [5, 5, 5, 9]):
        ours, theirs = OneVsOneSVC(1.0, 1e-4).fit(X, y), SVC(gamma=1e-4).fit(X.astype(float), y)
        assert_same(ours, theirs)
        np.testing.assert_array_equal(ours.predict(asked), theirs.predict(asked.astype(float)))


def test_the_kernel_is_right_to_the_last_place() -> None:
    rng = np.random.default_rng(0)
    squares = np.append(rng.integers(0, 2**31, 4000), [0, 1, 2**31 - 1]).astype(np.int32)
    for gamma in (1e-300, 1e-10, 1e-8, 7e-8):
        found, blank = np.empty(len(squares)), np.zeros((1, len(squares)), dtype=np.uint8)
        kernel_row(blank[:, 0].copy(), 0, Images(blank, squares, gamma), found)
        with localcontext() as context:
            context.prec = 40
            for square, value in zip(squares.tolist(), found.tolist(), strict=True):
                exact = Decimal(-min(gamma * square, 150)).exp()
                # Just below 1, places are half as wide.
                place = Decimal(float(np.spacing(value))) / (2 if value == 1 else 1)
                assert abs(Decimal(value) - exact) < Decimal("0.51") * place
