"""Metrics and curves against scikit-learn, SciPy and hand computation."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
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

from stages.evaluate.errors import error, mcnemar, steps
from stages.evaluate.evaluate_binary import (
    binary_metrics,
    curve_metrics,
    curve_of,
    drawn,
    first_digit_metrics,
)
from stages.output.tables import downsample, write_csv, write_metrics

RANDOM = np.random.RandomState(0)
# With equal scores among them; and so many that a curve is thinned.
Y = RANDOM.rand(5000) < 0.1
SCORES = np.round(RANDOM.standard_normal(5000) + 1.5 * Y, 2).astype(np.float64)
MANY_Y = RANDOM.rand(20_000) < 0.1
MANY_SCORES = RANDOM.standard_normal(20_000) + 1.5 * MANY_Y


# The last one finds nothing, and has no precision.
@pytest.mark.parametrize("threshold", [-1.0, 0.5, 2.0, 9.0])
def test_answers_are_worth_what_scikit_learn_says(threshold: float) -> None:
    said, folds = threshold < SCORES, (np.arange(5000) % 3).astype(np.uint8)
    found = binary_metrics(Y, said, folds)
    assert list(found.pop("confusion").values()) == confusion_matrix(Y, said).ravel().tolist()
    accuracies = [accuracy_score(Y[folds == i], said[folds == i]) for i in range(3)]
    expected = {f"fold_{i}": of for i, of in enumerate(accuracies, start=1)}
    assert found.pop("accuracy") == expected | {"mean": np.mean(accuracies)}
    expected = {"recall": recall_score(Y, said), "f1": f1_score(Y, said)}
    expected |= {"precision": precision_score(Y, said)} if said.any() else {}
    assert found == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(("scores", "precision"), [(SCORES, 0.5), (SCORES, 0.3), (0 * SCORES, 0.9)])
def test_a_curve_is_scikit_learns_at_every_threshold(
    scores: NDArray[np.float64], precision: float
) -> None:
    curve = curve_of(Y, scores)
    precisions, recalls, thresholds = precision_recall_curve(Y, scores)
    assert len(thresholds) < len(scores)
    np.testing.assert_array_equal(curve.threshold, thresholds)
    np.testing.assert_array_equal(curve.precision, precisions[:-1])
    np.testing.assert_array_equal(curve.recall, recalls[:-1])
    fpr, tpr, falling = (column[1:] for column in roc_curve(Y, scores, drop_intermediate=False))
    np.testing.assert_array_equal(curve.threshold[::-1], falling)
    np.testing.assert_array_equal(curve.false_positive_rate[::-1], fpr)
    np.testing.assert_array_equal(curve.recall[::-1], tpr)
    found = curve_metrics(curve, precision)
    assert found["roc_auc"] == pytest.approx(roc_auc_score(Y, scores), rel=1e-13)
    mean = average_precision_score(Y, scores)
    assert found["average_precision"] == pytest.approx(mean, rel=1e-13)
    # The lowest threshold of the precision, by trying all.
    reached = [t for t in np.unique(scores) if Y[scores >= t].mean() >= precision]
    assert ("operating_point" in found) == bool(reached)
    if reached:
        assert found["operating_point"] == {
            "threshold": reached[0],
            "precision": precision_score(Y, scores >= reached[0]),
            "recall": recall_score(Y, scores >= reached[0]),
        }


@pytest.mark.parametrize(("y", "scores"), [(Y, SCORES), (MANY_Y, MANY_SCORES)])
def test_plots_are_points_of_the_curve_with_the_chosen_among_them(
    y: NDArray[np.bool_], scores: NDArray[np.float64]
) -> None:
    whole = curve_of(y, scores)
    for chosen in (None, whole.threshold[0], *whole.threshold[434:437]):
        plots = drawn(whole, chosen)
        for plot in plots.values():
            assert {len(column) for column in plot.values()} <= set(range(300, 1002))
            marked = plot["threshold"][plot["chosen"] == 1].tolist()
            assert marked == ([] if chosen is None else [chosen])
            at = np.searchsorted(whole.threshold, plot["threshold"])
            for name in plot.keys() - {"chosen"}:
                of_whole = getattr(whole, "recall" if name == "true_positive_rate" else name)
                np.testing.assert_array_equal(plot[name], of_whole[at])
        assert list(plots["precision_recall"]) == [
            *("threshold", "precision", "recall", "true_positives", "false_positives", "chosen")
        ]
        area = auc(plots["roc"]["false_positive_rate"], plots["roc"]["true_positive_rate"])
        assert area == pytest.approx(roc_auc_score(y, scores), abs=1e-3)


def test_a_threshold_has_one_key_however_it_is_written_and_no_two_share_one() -> None:
    """DVC runs nothing where 0 becomes 0.0. A score at the threshold is not above it."""
    found = first_digit_metrics(2164.25, (0, 8000, 0.5, 2164.25))
    answers = {"above_0": True, "above_8000": False, "above_0.5": True, "above_2164.25": False}
    assert found == {"score": 2164.25, **answers}
    for one, other in ((0, 0.0), (-2000000, -2e6), (10**20, 1e20)):
        assert first_digit_metrics(1.0, [one]) == first_digit_metrics(1.0, [other])
    asked = [1234567, 1234568, 0.1, 0.10000001, 1e-9, -1, 1e20, 123456789.5]
    _, *above = first_digit_metrics(0.5, asked).values()
    assert above == [threshold < 0.5 for threshold in asked]


@pytest.mark.parametrize(
    ("errors", "n"), [(0, 10), (0, 51), (1, 10), (37, 10_000), (237, 10_000), (7, 7), (9, 9)]
)
def test_the_interval_is_wilsons(errors: int, n: int) -> None:
    """Where the rate is as far from the share as 95 % of a normal distribution lie (1927)."""
    found = error(np.arange(n) < errors, np.zeros(n, dtype=bool))
    assert (found["errors"], found["share"]) == (errors, errors / n)
    assert 0 <= found["low"] <= found["share"] <= found["high"] <= 1
    for rate in {found["low"], found["high"]} - {0, 1}:
        deviations = abs(errors / n - rate) / math.sqrt(rate * (1 - rate) / n)
        assert deviations == pytest.approx(1.959964, abs=1e-5)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (3, 9), (9, 3), (5, 5), (9, 209)])
def test_mcnemars_test_is_a_coins(first: int, second: int) -> None:
    """Of so many throws, how likely is it that a fair coin falls so seldom, or so often?"""
    this, that = (np.repeat([1, a, b], [4, first, second]) for a, b in ((1, 0), (0, 1)))
    assert mcnemar(this, that, 0 * this) == {
        "only_this_wrong": first,
        "only_that_wrong": second,
        "p": pytest.approx(binomtest(first, first + second).pvalue if first + second else 1),
    }


def test_a_step_that_adds_nothing_is_left_out() -> None:
    y = np.arange(10)
    said = dict.fromkeys(("without_copies", "alone", "predictions"), y)
    columns = steps(said, y + 1, {"gamma": 3, "n_virtual_copies": 0, "weight": 0}, y)
    assert columns["step"] == ["kNN on shifted copies", "SVC on strokes"]
    assert columns["errors"] == [10, 0]


def test_downsample_curve_keeps_its_ends_and_its_steps() -> None:
    x = np.concatenate([np.linspace(0, 0.01, 50_000), np.linspace(0.01, 1, 50)])
    kept = downsample(x, np.zeros_like(x), at_most=100)
    assert kept[[0, -1]].tolist() == [0, len(x) - 1]
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
    x, y = np.array([1, 20000000]), np.array([1 / 3, 1e-7])
    write_csv(path, {"x": x, "y": y, "z": ["a", "b,c"], "exact": y}, exact=["exact"])
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["x", "y", "z", "exact"],
            ["1", "0.333333", "a", "0.3333333333333333"],
            ["20000000", "1e-07", "b,c", "1e-07"],
        ]
    with pytest.raises(ValueError, match="not finite"):
        write_csv(path, {"x": np.array([np.inf])})
    with pytest.raises(ValueError, match="shorter"):
        write_csv(path, {"x": [1], "y": []})
