"""Metrics and curves against hand computation and scikit-learn."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import (
    auc,
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from sklearn.model_selection import StratifiedKFold, cross_val_score

from stages.common.folds import fold_numbers
from stages.data.sources import Mnist
from stages.evaluate.accuracy import recalls
from stages.evaluate.evaluate_binary import (
    binary_metrics,
    curve_of,
    first_digit_metrics,
    operating_point,
    precision_recall,
    roc,
    stacked,
)
from stages.evaluate.evaluate_digits import cross_validated
from stages.models.fit import fit_each, out_of_fold_scores, outside_each
from stages.output.tables import downsample, write_csv, write_metrics

Y = np.array([True, True, True, False, False, False])
SCORES = np.array([3.0, 1.0, -1.0, 2.0, -2.0, -3.0])
FOLDS = np.array([0, 1, 0, 1, 0, 1], np.uint8)


RANDOM = np.random.RandomState(0)
COLUMNS = [
    *("threshold", "precision", "recall", "false_positive_rate"),
    *("true_positives", "false_positives"),
]
# With equal scores among them; and so many that a curve is thinned.
RANDOM_Y = RANDOM.rand(5000) < 0.1
RANDOM_SCORES = np.round(RANDOM.standard_normal(5000) + 1.5 * RANDOM_Y, 2).astype(np.float64)
MANY_Y = RANDOM.rand(20_000) < 0.1
MANY_SCORES = RANDOM.standard_normal(20_000) + 1.5 * MANY_Y


def test_binary_metrics_by_hand() -> None:
    metrics: Any = binary_metrics(Y, SCORES, FOLDS, decision_threshold=0, precision=0.7)
    # At 0: positives are scores 3, 2, 1, of which 3 and 1 are true.
    assert metrics["confusion"] == {"tn": 2, "fp": 1, "fn": 1, "tp": 2}
    assert metrics["precision"] == metrics["recall"] == metrics["f1"] == 2 / 3
    # Fold 0 tests scores 3, -1, -2 (one wrong); fold 1 tests 1, 2, -3 (one wrong).
    assert metrics["accuracy"] == {"fold_1": 2 / 3, "fold_2": 2 / 3, "mean": 2 / 3}
    # Of the nine pairs of a true and a false one, 1 < 2 and -1 < 2 are in the wrong order.
    assert metrics["roc_auc"] == pytest.approx(7 / 9)
    # Precision at each recall step: 1/1, 2/3, 3/4.
    assert metrics["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert metrics["operating_point"] == {"threshold": -1.0, "precision": 0.75, "recall": 1.0}


@pytest.mark.parametrize("threshold", [-1.0, 0.5, 2.0])
def test_binary_metrics_are_scikit_learns(threshold: float) -> None:
    y, scores = RANDOM_Y, RANDOM_SCORES
    ours: Any = binary_metrics(y, scores, np.zeros(5000, np.uint8), threshold, 0.5)
    found = scores > threshold
    assert list(ours["confusion"].values()) == confusion_matrix(y, found).ravel().tolist()
    for name, theirs in (
        ("precision", precision_score(y, found)),
        ("recall", recall_score(y, found)),
        ("f1", f1_score(y, found)),
        ("roc_auc", roc_auc_score(y, scores)),
        ("average_precision", average_precision_score(y, scores)),
    ):
        assert ours[name] == pytest.approx(theirs, rel=1e-13), name


def test_a_curve_is_scikit_learns_at_every_threshold() -> None:
    y, scores = RANDOM_Y, RANDOM_SCORES
    curve = curve_of(y, scores)
    precisions, recalls, thresholds = precision_recall_curve(y, scores)
    assert len(thresholds) < len(scores)
    np.testing.assert_array_equal(curve.threshold, thresholds)
    np.testing.assert_array_equal(curve.precision, precisions[:-1])
    np.testing.assert_array_equal(curve.recall, recalls[:-1])
    fpr, tpr, falling = (column[1:] for column in roc_curve(y, scores, drop_intermediate=False))
    np.testing.assert_array_equal(curve.threshold[::-1], falling)
    np.testing.assert_array_equal(curve.false_positive_rate[::-1], fpr)
    np.testing.assert_array_equal(curve.recall[::-1], tpr)


def test_a_detector_that_finds_nothing_has_no_precision() -> None:
    metrics = binary_metrics(Y, np.zeros(6), FOLDS, 0.5, precision=0.9)
    assert "precision" not in metrics
    assert "operating_point" not in metrics
    assert metrics["f1"] == metrics["recall"] == 0
    assert metrics["roc_auc"] == 0.5
    # One that is right as often as wrong has one.
    assert binary_metrics(Y, SCORES, FOLDS, 1.5, precision=0.9)["precision"] == 0.5


def test_lowest_threshold_of_a_precision_by_trying_all() -> None:
    y, scores = RANDOM_Y, RANDOM_SCORES
    tried = min(t for t in np.unique(scores) if y[scores >= t].mean() >= 0.5)
    assert operating_point(curve_of(y, scores), 0.5) == {
        "threshold": tried,
        "precision": precision_score(y, scores >= tried),
        "recall": recall_score(y, scores >= tried),
    }


@pytest.mark.parametrize(("y", "scores"), [(RANDOM_Y, RANDOM_SCORES), (MANY_Y, MANY_SCORES)])
def test_curves_are_points_of_the_whole_one_with_the_chosen_among_them(
    y: NDArray[np.bool_], scores: NDArray[np.float64]
) -> None:
    whole = curve_of(y, scores)
    for chosen in (operating_point(whole, 0.5)["threshold"], *whole.threshold[434:437]):
        by_fpr, by_threshold = roc(whole, chosen), precision_recall(whole, chosen)
        for curve in (by_fpr, by_threshold):
            assert {len(column) for column in curve.values()} <= set(range(300, 1002))
            assert curve["threshold"][curve["chosen"] == 1].tolist() == [chosen]
            at = np.searchsorted(whole.threshold, curve["threshold"])
            of_whole = {name: getattr(whole, name)[at] for name in COLUMNS if name in curve}
            of_whole |= {"true_positive_rate": whole.recall[at]} if curve is by_fpr else {}
            for name, column in of_whole.items():
                np.testing.assert_array_equal(curve[name], column)
        area = auc(by_fpr["false_positive_rate"], by_fpr["true_positive_rate"])
        assert area == pytest.approx(roc_auc_score(y, scores), abs=1e-3)
        assert set(COLUMNS) <= set(by_fpr) | set(by_threshold)


def test_curves_without_a_chosen_threshold_mark_nothing() -> None:
    one, other = roc(curve_of(Y, SCORES), None), roc(curve_of(Y, -SCORES), None)
    assert not one["chosen"].any()
    together = stacked({"a": one, "b": other})
    assert {len(column) for column in together.values()} == {len(together["model"])}
    assert sorted(set(together["model"].tolist())) == ["a", "b"]


def test_first_digit_at_each_threshold() -> None:
    assert first_digit_metrics(2164.2203, (0, 8000, 0.5)) == {
        "score": 2164.2203,
        "above_0": True,
        "above_8000": False,
        "above_0.5": True,
    }
    # As in the confusion matrix, a score at the threshold is not above it.
    assert not first_digit_metrics(2.5, [2.5])["above_2.5"]


def test_a_threshold_has_one_key_however_it_is_written_and_no_two_share_one() -> None:
    """DVC runs nothing where 0 becomes 0.0."""
    for one, other in ((0, 0.0), (-2000000, -2e6), (10**20, 1e20)):
        assert first_digit_metrics(1.0, [one]) == first_digit_metrics(1.0, [other])
    asked = [1234567, 1234568, 0.1, 0.10000001, 1e-9, -1, 1e20, 123456789.5]
    _, *above = first_digit_metrics(0.5, asked).values()
    assert above == [threshold < 0.5 for threshold in asked]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_fold_accuracies_are_cross_val_scores(digits: Mnist) -> None:
    X, y = digits[0][:400].reshape(400, -1), digits[1][:400]
    model = SGDClassifier(max_iter=50, random_state=0)
    folds = fold_numbers(StratifiedKFold(3), y)
    fitted = fit_each(model, X, y, outside_each(folds), "fit")
    classes = np.unique(y)
    found = out_of_fold_scores(fitted, X, folds, classes)
    ours: Any = cross_validated(y, found, folds, classes)["accuracy"]
    theirs = cross_val_score(model, X, y, cv=3)
    assert list(ours.values()) == [*theirs, theirs.mean()]


@pytest.mark.parametrize("n_classes", [2, 10, 47])
def test_recalls_are_scikit_learns(n_classes: int) -> None:
    random = np.random.RandomState(0)
    y, said = random.randint(0, n_classes, (2, 1000)) + 200
    kept = y != 201
    ours = recalls(y[kept], said[kept])
    classes = np.unique(y[kept])
    assert list(ours) == [str(label) for label in classes]
    theirs = recall_score(y[kept], said[kept], labels=classes, average=None)
    np.testing.assert_array_equal(list(ours.values()), theirs)


def test_downsample_curve_keeps_its_ends_and_its_steps() -> None:
    x = np.concatenate([np.linspace(0, 0.01, 50_000), np.linspace(0.01, 1, 50)])
    y = np.zeros_like(x)
    kept = downsample(x, y, at_most=100)
    assert kept[0] == 0
    assert kept[-1] == len(x) - 1
    assert len(kept) <= 100
    # Of points 0.02 apart, wanted every 0.01, none is left out: at most one and a half steps.
    assert np.diff(x[kept]).max() < 0.031
    assert downsample(np.array([0.0]), np.array([1.0])).tolist() == [0]


def test_metrics_are_rounded_and_finite(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.json"
    write_metrics(path, {"a": {"b": 1 / 3, "n": np.int64(3), "yes": np.bool_(True)}})
    assert json.loads(path.read_text()) == {"a": {"b": 0.3333333333, "n": 3, "yes": True}}
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_metrics(path, {"a": bad})


def test_csv_is_plain_and_finite(tmp_path: Path) -> None:
    path = tmp_path / "new" / "plot.csv"
    write_csv(path, {"x": np.array([1, 20000000]), "y": np.array([1 / 3, 1e-7]), "z": ["a", "b,c"]})
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["x", "y", "z"],
            ["1", "0.333333", "a"],
            ["20000000", "1e-07", "b,c"],
        ]
    write_csv(path, {"x": np.array([1 / 3, 1234567.5]), "y": np.array([1 / 3, 1.0])}, exact=["x"])
    with path.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [float(row["x"]) for row in written] == [1 / 3, 1234567.5]
    assert [row["y"] for row in written] == ["0.333333", "1"]
    with pytest.raises(ValueError, match="not finite"):
        write_csv(path, {"x": np.array([np.inf])})
    with pytest.raises(ValueError, match="shorter"):
        write_csv(path, {"x": [1], "y": []})
