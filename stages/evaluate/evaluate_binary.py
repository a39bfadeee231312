"""Stage evaluate_binary: what the detectors' scores are worth, at every threshold (In 13-39).

Fits nothing, and only reads scores and predictions, so that another threshold is answered in a
second. To import scikit-learn's metrics takes longer than all that is asked here, which is how many
of the scores at or above each threshold are right. The figures are as it defines them:
https://scikit-learn.org/stable/modules/model_evaluation.html.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load, load_group
from stages.common.params import read
from stages.evaluate.accuracy import fold_accuracies
from stages.output.tables import Metrics, write_csv, write_metrics

Columns: TypeAlias = dict[str, NDArray]
# Of a plotted curve, both ends included; and the chosen one.
N_POINTS = 999


def curve_of(y: NDArray[np.bool_], scores: NDArray[np.float64]) -> Columns:
    """A detector at each of its m thresholds, where scores at or above it answer "target".

    Args:
        y: (n,), whether the image is the target; some are, and some are not.
        scores: (n,), higher where it looks like the target.

    Returns:
        (m,) each: ``threshold``, every score once, rising; ``true_positives`` and
        ``false_positives``, how many targets and others are found; and the shares ``precision``,
        ``recall`` and ``false_positive_rate``.
    """
    order = np.argsort(-scores)
    falling = scores[order]
    # Of equal scores all are at the threshold: the last one's counts are theirs.
    last = np.flatnonzero(np.diff(falling, append=-np.inf))[::-1]
    true_positives = np.cumsum(y[order], dtype=np.int64)[last]
    false_positives = last + 1 - true_positives
    return {
        "threshold": falling[last],
        "precision": true_positives / (true_positives + false_positives),
        "recall": true_positives / true_positives[0],
        "true_positives": true_positives,
        "false_positives": false_positives,
        "false_positive_rate": false_positives / false_positives[0],
    }


def curve_metrics(curve: Columns, precision: float) -> dict[str, Any]:
    """What the scores of a detector are worth at all thresholds, and at one.

    Returns:
        ``roc_auc``; ``average_precision``, the mean of the precisions, each weighted by the recall
        that its threshold adds; and ``operating_point``, which is the lowest threshold whose
        precision is at least ``precision`` (In 27-29): ``threshold``, ``precision`` and ``recall``.
        It is left out where no threshold reaches that.
    """
    # The ROC curve ends in (0, 0).
    area = np.trapezoid(np.append(curve["recall"], 0), np.append(curve["false_positive_rate"], 0))
    # Not a product of vectors, whose order of summation depends on the CPU.
    average_precision = (np.diff(curve["recall"], append=0) * curve["precision"]).sum()
    found: dict[str, Any] = {"roc_auc": -area, "average_precision": -average_precision}
    for at in np.flatnonzero(curve["precision"] >= precision)[:1]:
        names = ("threshold", "precision", "recall")
        found["operating_point"] = {name: curve[name][at] for name in names}
    return found


def binary_metrics(
    y: NDArray[np.bool_], predictions: NDArray[np.bool_], folds: NDArray[np.uint8]
) -> dict[str, Any]:
    """What the out-of-fold predictions (n,) of one detector are worth, whose truth is ``y`` (n,).

    Returns:
        ``accuracy``, of each of the ``folds`` (n,), too; ``confusion``, ``precision``, ``recall``
        and ``f1``. A detector that never answers "target" has no ``precision`` (0 of 0).
    """
    tp, fp = int((predictions & y).sum()), int((predictions & ~y).sum())
    fn, tn = int(y.sum()) - tp, int((~y).sum()) - fp
    return {
        "accuracy": fold_accuracies(predictions == y, folds),
        "confusion": {"tn": tn, "fp": fp, "fn": fn, "tp": tp},
        **({"precision": tp / (tp + fp)} if tp + fp else {}),
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
    }


def first_digit_metrics(score: float, thresholds: Sequence[float]) -> Metrics:
    """The score of the first digit, and whether it is above each threshold (In 21-23)."""
    # DVC takes 0 and 0.0 for the same, and so must the key.
    names = [repr(float(threshold)).removesuffix(".0") for threshold in thresholds]
    answers = {f"above_{name}": score > float(name) for name in names}
    return {"score": score, **answers}


def drawn(curve: Columns, chosen: float | None) -> dict[str, Columns]:
    """The columns of the plots ``roc`` and ``precision_recall``, at most 1,000 points each.

    Args:
        curve: The curve of the detector; of its points some are left out, evenly along the line.
        chosen: A threshold to mark, one of the curve's: there the column ``chosen`` is 1, else 0.
    """
    curve = curve | {"chosen": (curve["threshold"] == chosen).astype(int)}
    falling = {name: column[::-1] for name, column in curve.items()}
    roc = {
        "false_positive_rate": falling["false_positive_rate"],
        "true_positive_rate": falling["recall"],
        "threshold": falling["threshold"],
        "chosen": falling["chosen"],
    }
    del curve["false_positive_rate"]
    plots = {}
    for name, columns, x, y in (
        ("roc", roc, "false_positive_rate", "true_positive_rate"),
        ("precision_recall", curve, "recall", "precision"),
    ):
        steps = np.abs(np.diff(columns[x])) + np.abs(np.diff(columns[y]))
        length = np.append(0.0, np.cumsum(steps))
        even = np.searchsorted(length, np.linspace(0.0, length[-1], N_POINTS))
        kept = np.union1d(even, np.flatnonzero(columns["chosen"]))
        plots[name] = {of: column[kept] for of, column in columns.items()}
    return plots


def main(params: Path, is_target: Path, models: list[Path], metrics: Path, plots: Path) -> None:
    """Write the metrics of every detector, and the curves of those trained on all images.

    ``test_accuracy`` and ``first_digit`` are left out for the others: nothing was trained on all
    images that could be asked.

    Args:
        params: The file of parameters, which has a decision threshold for each detector.
        is_target: The folder of the labels, ``train.npy`` and ``test.npy``.
        models: The folders of the detectors, with ``out_of_fold.npz``, and ``predictions.npz``
            where it was trained on all images.
        metrics: The folder to write, a file a detector.
        plots: The folder of ``roc.csv`` and ``precision_recall.csv``.
    """
    thresholds = read(params, "binary.thresholds")
    y, y_test = load(is_target / "train.npy"), load(is_target / "test.npy")
    curves: dict[str, list[Columns]] = {"roc": [], "precision_recall": []}
    for folder in models:
        model, group = folder.name, load_group(folder / "out_of_fold.npz")
        predictions = group["scores"] > thresholds["decision"][model]
        curve = curve_of(y, group["scores"])
        report = binary_metrics(y, predictions, group["folds"])
        report |= curve_metrics(curve, thresholds["precision"])
        if (path := folder / "predictions.npz").exists():
            answers = load_group(path)
            report["test_accuracy"] = np.mean(answers["predictions"] == y_test)
            score = answers["first_scores"][0]
            report["first_digit"] = first_digit_metrics(score, thresholds["first_digit"])
            chosen = report.get("operating_point", {}).get("threshold")
            for name, columns in drawn(curve, chosen).items():
                of_model = np.full(len(columns["threshold"]), model)
                curves[name].append({"model": of_model, **columns})
        write_metrics(metrics / f"{model}.json", report)
    for name, of_models in curves.items():
        together = {of: np.concatenate([each[of] for each in of_models]) for of in of_models[0]}
        # A threshold is a score: rounded, it would be above or below that score's image.
        write_csv(plots / f"{name}.csv", together, exact=["threshold"])
