"""Stage evaluate_digits: the models of all classes (In 40-51)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load, load_group
from stages.evaluate.accuracy import fold_accuracies, recalls
from stages.output.tables import Metrics, write_metrics


def cross_validated(
    y: NDArray[np.uint8], scores: NDArray, folds: NDArray[np.uint8], classes: NDArray[np.uint8]
) -> Metrics:
    """The accuracy in each fold: the digit of the highest out-of-fold score against ``y``.

    Args:
        y: (n,).
        scores: (n, n_classes).
        folds: (n,), the fold of each image, from 0.
        classes: (n_classes,), the digit of each column of ``scores``.
    """
    return {"accuracy": fold_accuracies(classes[scores.argmax(axis=1)] == y, folds)}


def trained(y_test: NDArray[np.uint8], said: dict[str, NDArray]) -> Metrics:
    """What a model trained on all images is worth.

    Args:
        y_test: (n,).
        said: What :func:`stages.models.fit.predictions` returns.
    """
    of_digits = zip(said["classes"], said["first_scores"], strict=True)
    scores = {f"score_{digit}": score for digit, score in of_digits}
    return {
        "test_accuracy": np.mean(said["predictions"] == y_test),
        "test_recall": recalls(y_test, said["predictions"]),
        "first_digit": {"prediction": said["first_prediction"], **scores},
        "n_estimators": said["n_estimators"],
        "n_problems": said["n_problems"],
    }


def main(
    labels: Path,
    test_labels: Path,
    out_of_fold: dict[str, Path],
    predictions: dict[str, Path],
    metrics: dict[str, Path],
) -> None:
    """Write the metrics of every model.

    The notebook cross-validates ``sgd_scaled`` without training it, and trains the SVCs without
    cross-validating them: each file has what there is.
    """
    y, y_test = load(labels), load(test_labels)
    for model, path in metrics.items():
        report: Metrics = {}
        if model in predictions:
            report = {**report, **trained(y_test, load_group(predictions[model]))}
        if model in out_of_fold:
            report = {**report, **cross_validated(y, **load_group(out_of_fold[model]))}
        write_metrics(path, report)
