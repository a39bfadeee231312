"""Metrics and curves against scikit-learn, SciPy and hand computation."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    confusion_matrix_at_thresholds,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from stages.common.arrays import save, save_group
from stages.evaluate import evaluate_binary
from stages.evaluate.errors import error, mcnemar
from stages.evaluate.evaluate_binary import first_digit_metrics
from stages.output.tables import write_csv, write_metrics

RANDOM = np.random.RandomState(0)
Y_TEST, PREDICTIONS = RANDOM.rand(2, 80) < 0.3
Y, FOLDS = RANDOM.rand(5000) < 0.1, RANDOM.randint(0, 3, 5000).astype(np.uint8)
# So many that a curve is thinned, some of which are equal; and all equal.
MANY = RANDOM.standard_normal(5000) + 1.5 * Y
SCORES = {"many": MANY, "ties": np.round(MANY, 2), "one": 0 * MANY}


@pytest.mark.parametrize(
    ("kind", "decision", "precision"),
    # Which find some, all and none; the last reaches its precision exactly.
    [("many", 0.5, 0.4), ("ties", -9.0, 0.3), ("one", 0.0, Y.mean())],
)
def test_detectors_are_worth_what_scikit_learn_says(
    tmp_path: Path, kind: str, decision: float, precision: float
) -> None:
    """At their own thresholds; curves and first scores are of those trained on all images alone."""
    save(tmp_path / "is_target" / "train.npy", Y)
    save(tmp_path / "is_target" / "test.npy", Y_TEST)
    scores = {"trained": SCORES[kind], "not": -MANY}
    for model, of in scores.items():
        save_group(tmp_path / model / "out_of_fold.npz", scores=of, folds=FOLDS)
    answers = {"first_scores": np.array([1.5]), "predictions": PREDICTIONS}
    save_group(tmp_path / "trained" / "predictions.npz", **answers)
    decisions = {"trained": decision, "not": 0.25}
    thresholds = {"precision": precision, "first_digit": [0, 1.5, 2], "decision": decisions}
    (tmp_path / "params.yaml").write_text(json.dumps({"binary": {"thresholds": thresholds}}))
    evaluate_binary.main(
        tmp_path / "params.yaml",
        tmp_path / "is_target",
        [tmp_path / model for model in scores],
        tmp_path / "metrics",
        tmp_path,
    )
    for model, of in scores.items():
        said = of > decisions[model]
        accuracies = [np.mean((said == Y)[fold == FOLDS]) for fold in range(3)]
        of_folds = {f"fold_{i}": accuracy for i, accuracy in enumerate(accuracies, start=1)}
        expected: dict[str, Any] = {
            "accuracy": of_folds | {"mean": np.mean(accuracies)},
            "recall": recall_score(Y, said),
            "f1": f1_score(Y, said),
            "roc_auc": roc_auc_score(Y, of),
            "average_precision": average_precision_score(Y, of),
        }
        (tn, fp), (fn, tp) = confusion_matrix(Y, said)
        expected["confusion"] = {"tn": tn, "fp": fp, "fn": fn, "tp": tp}
        if said.any():
            expected["precision"] = precision_score(Y, said)
        # The lowest threshold of the precision, by trying all.
        for threshold in [t for t in np.unique(of) if Y[of >= t].mean() >= precision][:1]:
            shares = {"precision": precision_score, "recall": recall_score}
            found = {name: share(Y, of >= threshold) for name, share in shares.items()}
            expected["operating_point"] = {"threshold": threshold, **found}
        if model == "trained":
            chosen = expected.get("operating_point", {}).get("threshold")
            expected["test_accuracy"] = np.mean(Y_TEST == PREDICTIONS)
            # A score at the threshold is not above it.
            above = {"above_0": True, "above_1.5": False, "above_2": False}
            expected["first_digit"] = {"score": 1.5, **above}
        metrics = json.loads((tmp_path / "metrics" / f"{model}.json").read_text())
        (flat,), (expected_flat,) = (
            pd.json_normalize(nested).to_dict("records") for nested in (metrics, expected)
        )
        assert flat == pytest.approx(expected_flat, abs=1e-9)
    assert_are_points(tmp_path, SCORES[kind], chosen)


def assert_are_points(folder: Path, scores: NDArray[np.float64], chosen: float | None) -> None:
    """Both plots are of the curve of these scores, with a chosen threshold."""
    _, false_positives, _, true_positives, at = confusion_matrix_at_thresholds(Y, scores)
    curve = pd.DataFrame({"true_positives": true_positives, "false_positives": false_positives}, at)
    curve["precision"] = true_positives / (true_positives + false_positives)
    curve["recall"] = curve["true_positive_rate"] = true_positives / Y.sum()
    curve["false_positive_rate"] = false_positives / (~Y).sum()
    curve["chosen"], curve["model"] = (at == chosen).astype(int), "trained"
    for name, x, y, others in (
        ("roc", "false_positive_rate", "true_positive_rate", []),
        ("precision_recall", "recall", "precision", ["true_positives", "false_positives"]),
    ):
        # Every digit of a threshold, so that it is an image's score.
        plot = pd.read_csv(folder / f"{name}.csv", index_col="threshold")
        assert {*plot} == {"model", x, y, "chosen", *others}
        pd.testing.assert_frame_equal(
            plot, curve.loc[plot.index, [*plot]], rtol=1e-5, check_names=False, check_dtype=False
        )
        assert len(plot) <= 1000
        assert plot["chosen"].sum() == (chosen is not None)
        # With both ends, and nowhere far apart.
        assert {at[0], at[-1]} <= {*plot.index}
        assert plot[[x, y]].diff().abs().max().max() < 0.1 or len(at) == 1


def test_a_threshold_has_one_key_however_it_is_written_and_no_two_share_one() -> None:
    """DVC runs nothing where 0 becomes 0.0."""
    asked = [1234567, 1234568, 0.1, 0.10000001, 1e-9, -1, 10**20, 123456789.5]
    assert first_digit_metrics(0.5, asked) == first_digit_metrics(0.5, [*map(float, asked)])
    assert list(first_digit_metrics(0.5, asked).values())[1:] == [of < 0.5 for of in asked]


@pytest.mark.parametrize(
    ("errors", "n"), [(0, 10), (0, 51), (1, 10), (37, 10_000), (237, 10_000), (7, 7), (9, 9)]
)
def test_the_interval_is_wilsons(errors: int, n: int) -> None:
    found = error(np.arange(n) < errors, np.zeros(n, dtype=bool))
    assert (found["errors"], found["share"]) == (errors, errors / n)
    assert 0 <= found["low"] <= found["share"] <= found["high"] <= 1
    interval = binomtest(errors, n).proportion_ci(method="wilson")
    assert (found["low"], found["high"]) == pytest.approx(interval, rel=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (3, 9), (9, 3), (5, 5), (9, 209)])
def test_mcnemars_test_is_a_coins(first: int, second: int) -> None:
    """Of so many throws, how likely is it that a fair coin falls so seldom, or so often?"""
    this, that = (np.repeat([1, a, b], [4, first, second]) for a, b in ((1, 0), (0, 1)))
    assert mcnemar(this, that, 0 * this) == {
        "only_this_wrong": first,
        "only_that_wrong": second,
        "p": pytest.approx(binomtest(first, first + second).pvalue if first + second else 1),
    }


def test_metrics_are_rounded_and_finite(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.json"
    write_metrics(path, {"a": {"b": 1 / 3, "n": np.int64(3), "yes": np.bool_(True)}})
    assert json.loads(path.read_text()) == {"a": {"b": 0.3333333333, "n": 3, "yes": True}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_metrics(path, {"a": float("nan")})


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
