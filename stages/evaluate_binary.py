"""Stage evaluate_binary: what the detectors' scores are worth, at every threshold (In 13-39).

Reads out-of-fold scores only, so that another threshold is answered in a second.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    confusion_matrix_at_thresholds,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from stages._accuracy import fold_accuracies
from stages._arrays import load, load_group
from stages._params.base import Digit, read
from stages._params.binary import Thresholds
from stages._reports import Metrics, thinned, write_csv, write_metrics

Columns: TypeAlias = Mapping[str, NDArray]


def threshold_at_precision(
    y: NDArray[np.bool_], scores: NDArray, precision: float
) -> dict[str, float]:
    """The lowest threshold whose precision is at least ``precision`` (In 27-29).

    Returns:
        ``threshold``, and the ``precision`` and ``recall`` of scores at or above it; empty where
        no threshold reaches it.
    """
    precisions, recalls, thresholds = precision_recall_curve(y, scores)
    # The curve ends in a point of precision 1 and recall 0 that no threshold reaches.
    reached = np.flatnonzero(precisions[:-1] >= precision)
    if not len(reached):
        return {}
    at = reached[0]
    return {"threshold": thresholds[at], "precision": precisions[at], "recall": recalls[at]}


def binary_metrics(
    y: NDArray[np.bool_],
    scores: NDArray[np.float64],
    folds: NDArray[np.uint8],
    decision_threshold: float,
    at_precision: float,
) -> Metrics:
    """Every figure of one detector, from its out-of-fold scores.

    Args:
        y: (n,), whether the image is the target.
        scores: (n,), higher where it looks like the target.
        folds: (n,), the fold of each image, from 0.
        decision_threshold: A score above it answers "target".
        at_precision: The precision to find a threshold for.

    Returns:
        ``accuracy``, ``confusion``, ``precision``, ``recall``, ``f1``, ``roc_auc``,
        ``average_precision`` and ``at_precision``. Two are left out where they do not exist:
        ``precision`` of a detector that never answers "target" (0 of 0), and ``at_precision``
        where no threshold reaches the precision asked for.
    """
    predictions = scores > decision_threshold
    tn, fp, fn, tp = confusion_matrix(y, predictions, labels=[False, True]).ravel()
    precision, recall, f1, _ = precision_recall_fscore_support(
        y, predictions, average="binary", zero_division=0
    )
    at = threshold_at_precision(y, scores, at_precision)
    return {
        "accuracy": fold_accuracies(predictions == y, folds),
        "confusion": {"tn": tn, "fp": fp, "fn": fn, "tp": tp},
        **({"precision": precision} if predictions.any() else {}),
        "recall": recall,
        "f1": f1,
        "roc_auc": roc_auc_score(y, scores),
        "average_precision": average_precision_score(y, scores),
        **({"at_precision": at} if at else {}),
    }


def first_digit_metrics(score: float, asked: Sequence[float]) -> Metrics:
    """The score of the first digit, and whether it is above each threshold (In 21-23)."""
    return {"score": score, **{f"above_{threshold:g}": score > threshold for threshold in asked}}


def roc(y: NDArray[np.bool_], scores: NDArray[np.float64], chosen: float | None) -> Columns:
    """The ROC curve, without its first point, whose threshold is infinite.

    Args:
        y: (n,), whether the image is the target.
        scores: (n,).
        chosen: A threshold to mark, one of ``scores``.

    Returns:
        ``false_positive_rate``, ``true_positive_rate``, ``threshold`` and ``chosen`` (1 at the
        marked threshold, else 0), at most 1,001 points each.
    """
    fpr, tpr, thresholds = (curve[1:] for curve in roc_curve(y, scores, drop_intermediate=False))
    marked = thresholds == chosen
    shown = np.union1d(thinned(fpr, tpr), np.flatnonzero(marked))
    columns = {"false_positive_rate": fpr, "true_positive_rate": tpr, "threshold": thresholds}
    return {
        name: column[shown] for name, column in {**columns, "chosen": marked.astype(int)}.items()
    }


def precision_recall(
    y: NDArray[np.bool_], scores: NDArray[np.float64], chosen: float | None
) -> Columns:
    """The precision/recall curve, without its last point, which no threshold reaches.

    Args and returns as :func:`roc`, with ``threshold``, ``precision``, ``recall``,
    ``true_positives``, ``false_positives`` and ``chosen``; all of scores at or above a threshold.
    """
    precisions, recalls, thresholds = precision_recall_curve(y, scores)
    _, false_positives, _, true_positives, _ = confusion_matrix_at_thresholds(y, scores)
    marked = thresholds == chosen
    shown = np.union1d(thinned(recalls[:-1], precisions[:-1]), np.flatnonzero(marked))
    columns = {
        "threshold": thresholds,
        "precision": precisions[:-1],
        "recall": recalls[:-1],
        # From the highest threshold down, unlike the others.
        "true_positives": true_positives[::-1].astype(int),
        "false_positives": false_positives[::-1].astype(int),
        "chosen": marked.astype(int),
    }
    return {name: column[shown] for name, column in columns.items()}


def stacked(curves: Mapping[str, Columns]) -> Columns:
    """The curves of several models under each other, with a column ``model``."""
    lengths = [len(columns["threshold"]) for columns in curves.values()]
    names = next(iter(curves.values()))
    return {
        "model": np.repeat(list(curves), lengths),
        **{name: np.concatenate([columns[name] for columns in curves.values()]) for name in names},
    }


def main(
    params: Path,
    labels: Path,
    test_labels: Path,
    scores: dict[str, Path],
    answers: dict[str, Path],
    metrics: dict[str, Path],
    roc_curves: Path,
    precision_recall_curves: Path,
) -> None:
    """Write the metrics of every model, and the curves of those that were trained.

    ``test_accuracy`` and ``first_digit`` are left out for the others: nothing was trained on all
    images that could be asked.
    """
    target = read(params, "binary.target", Digit)
    thresholds = read(params, "binary.thresholds", Thresholds)
    y, y_test = load(labels) == target, load(test_labels) == target
    groups = {model: load_group(path) for model, path in scores.items()}
    chosen = {}
    for model, group in groups.items():
        decision = thresholds.decision.model_dump()[model]
        report: Any = dict(
            binary_metrics(y, group["scores"], group["folds"], decision, thresholds.precision)
        )
        chosen[model] = report.get("at_precision", {}).get("threshold")
        if model in answers:
            answer = load_group(answers[model])
            report["test_accuracy"] = np.mean(answer["predictions"] == y_test)
            report["first_digit"] = first_digit_metrics(
                answer["first_scores"][0], thresholds.first_digit
            )
        write_metrics(metrics[model], report)
    for path, curve in ((roc_curves, roc), (precision_recall_curves, precision_recall)):
        curves = {model: curve(y, groups[model]["scores"], chosen[model]) for model in answers}
        # A threshold is a score: rounded, it would be above or below that score's image.
        write_csv(path, stacked(curves), exact=["threshold"])
