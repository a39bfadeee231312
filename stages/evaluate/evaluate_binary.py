"""Stage evaluate_binary: what the detectors' scores are worth, at every threshold (In 13-39).

Fits nothing, and only reads scores and predictions, so that another threshold is answered in a
second. To import scikit-learn's metrics takes longer than all that is asked here, which is how many
of the scores at or above each threshold are right. The figures are as it defines them:
https://scikit-learn.org/stable/modules/model_evaluation.html.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load, load_group
from stages.common.params import read
from stages.evaluate.accuracy import fold_accuracies
from stages.output.tables import Metrics, downsample, write_csv, write_metrics

Columns: TypeAlias = Mapping[str, NDArray]


class Curve(NamedTuple):
    """A detector at each of its m thresholds, where scores at or above it answer "target"."""

    threshold: NDArray[np.float64]
    """(m,), every score once, rising."""
    true_positives: NDArray[np.int64]
    """(m,), how many targets have such a score."""
    false_positives: NDArray[np.int64]
    """(m,), how many others have."""

    @property
    def precision(self) -> NDArray[np.float64]:
        """(m,), the share of targets among those found."""
        return self.true_positives / (self.true_positives + self.false_positives)

    @property
    def recall(self) -> NDArray[np.float64]:
        """(m,), the share of targets found: all at the lowest threshold."""
        return self.true_positives / self.true_positives[0]

    @property
    def false_positive_rate(self) -> NDArray[np.float64]:
        """(m,), the share of the others that are taken for targets."""
        return self.false_positives / self.false_positives[0]

    def roc_auc(self) -> float:
        """The area under the ROC curve, which ends in (0, 0)."""
        return -float(
            np.trapezoid(np.append(self.recall, 0), np.append(self.false_positive_rate, 0))
        )

    def average_precision(self) -> float:
        """The mean of the precisions, each weighted by the recall that its threshold adds."""
        # Not a product of vectors, whose order of summation depends on the CPU.
        return -float((np.diff(self.recall, append=0) * self.precision).sum())


def curve_of(y: NDArray[np.bool_], scores: NDArray[np.float64]) -> Curve:
    """The curve of a detector.

    Args:
        y: (n,), whether the image is the target; some are, and some are not.
        scores: (n,), higher where it looks like the target.
    """
    order = np.argsort(-scores)
    falling = scores[order]
    # Of equal scores all are at the threshold: the last one's counts are theirs.
    last = np.flatnonzero(np.diff(falling, append=-np.inf))[::-1]
    true_positives = np.cumsum(y[order], dtype=np.int64)[last]
    return Curve(falling[last], true_positives, last + 1 - true_positives)


def operating_point(curve: Curve, precision: float) -> dict[str, float]:
    """The lowest threshold whose precision is at least ``precision`` (In 27-29).

    Returns:
        ``threshold``, and its ``precision`` and ``recall``; empty where no threshold reaches it.
    """
    reached = np.flatnonzero(curve.precision >= precision)
    if not len(reached):
        return {}
    at = reached[0]
    return {
        "threshold": curve.threshold[at],
        "precision": curve.precision[at],
        "recall": curve.recall[at],
    }


def binary_metrics(
    y: NDArray[np.bool_],
    scores: NDArray[np.float64],
    folds: NDArray[np.uint8],
    decision_threshold: float,
    precision: float,
) -> Metrics:
    """Every figure of one detector, from its out-of-fold scores.

    Args:
        y: (n,), whether the image is the target.
        scores: (n,), higher where it looks like the target.
        folds: (n,), the fold of each image, from 0.
        decision_threshold: A score above it answers "target".
        precision: The one that the operating point shall reach.

    Returns:
        ``accuracy``, ``confusion``, ``precision``, ``recall``, ``f1``, ``roc_auc``,
        ``average_precision`` and ``operating_point``. Two are left out where they do not exist:
        ``precision`` of a detector that never answers "target" (0 of 0), and
        ``operating_point`` where no threshold reaches the precision asked for.
    """
    predictions = scores > decision_threshold
    tp, fp = int((predictions & y).sum()), int((predictions & ~y).sum())
    fn, tn = int(y.sum()) - tp, int((~y).sum()) - fp
    curve = curve_of(y, scores)
    point = operating_point(curve, precision)
    return {
        "accuracy": fold_accuracies(predictions == y, folds),
        "confusion": {"tn": tn, "fp": fp, "fn": fn, "tp": tp},
        **({"precision": tp / (tp + fp)} if tp + fp else {}),
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "roc_auc": curve.roc_auc(),
        "average_precision": curve.average_precision(),
        **({"operating_point": point} if point else {}),
    }


def first_digit_metrics(score: float, thresholds: Sequence[float]) -> Metrics:
    """The score of the first digit, and whether it is above each threshold (In 21-23)."""
    # DVC takes 0 and 0.0 for the same, and so must the key.
    names = [repr(float(threshold)).removesuffix(".0") for threshold in thresholds]
    answers = {f"above_{name}": score > float(name) for name in names}
    return {"score": score, **answers}


def roc(curve: Curve, chosen: float | None) -> Columns:
    """The ROC curve, for a plot.

    Args:
        curve: The curve of the detector.
        chosen: A threshold to mark, one of the curve's.

    Returns:
        ``false_positive_rate``, ``true_positive_rate``, ``threshold`` (falling) and ``chosen`` (1
        at the marked threshold, else 0), at most 1,001 points each.
    """
    columns = {
        "false_positive_rate": curve.false_positive_rate[::-1],
        "true_positive_rate": curve.recall[::-1],
        "threshold": curve.threshold[::-1],
    }
    return _shown(columns, "false_positive_rate", "true_positive_rate", chosen)


def precision_recall(curve: Curve, chosen: float | None) -> Columns:
    """The precision/recall curve, for a plot.

    Args:
        curve: The curve of the detector.
        chosen: A threshold to mark, one of the curve's.

    Returns:
        ``threshold`` (rising), ``precision``, ``recall``, ``true_positives``, ``false_positives``
        and ``chosen`` (1 at the marked threshold, else 0), at most 1,001 points each.
    """
    columns = {
        "threshold": curve.threshold,
        "precision": curve.precision,
        "recall": curve.recall,
        "true_positives": curve.true_positives,
        "false_positives": curve.false_positives,
    }
    return _shown(columns, "recall", "precision", chosen)


def _shown(columns: Columns, x: str, y: str, chosen: float | None) -> Columns:
    """Points evenly along the curve that is drawn, and the marked one."""
    marked = columns["threshold"] == chosen
    shown = np.union1d(downsample(columns[x], columns[y]), np.flatnonzero(marked))
    return {
        name: column[shown] for name, column in {**columns, "chosen": marked.astype(int)}.items()
    }


def stacked(curves: Mapping[str, Columns]) -> Columns:
    """The curves of several models under each other, with a column ``model``."""
    lengths = [len(columns["threshold"]) for columns in curves.values()]
    names = next(iter(curves.values()))
    return {
        "model": np.repeat(list(curves), lengths),
        **{name: np.concatenate([columns[name] for columns in curves.values()]) for name in names},
    }


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
    rocs, precision_recalls = {}, {}
    for folder in models:
        model, group = folder.name, load_group(folder / "out_of_fold.npz")
        decision = thresholds["decision"][model]
        report: Any = dict(
            binary_metrics(y, group["scores"], group["folds"], decision, thresholds["precision"])
        )
        if (path := folder / "predictions.npz").exists():
            answers = load_group(path)
            report["test_accuracy"] = np.mean(answers["predictions"] == y_test)
            report["first_digit"] = first_digit_metrics(
                answers["first_scores"][0], thresholds["first_digit"]
            )
            curve = curve_of(y, group["scores"])
            chosen = report.get("operating_point", {}).get("threshold")
            rocs[model], precision_recalls[model] = (
                roc(curve, chosen),
                precision_recall(curve, chosen),
            )
        write_metrics(metrics / f"{model}.json", report)
    # A threshold is a score: rounded, it would be above or below that score's image.
    write_csv(plots / "roc.csv", stacked(rocs), exact=["threshold"])
    write_csv(plots / "precision_recall.csv", stacked(precision_recalls), exact=["threshold"])
