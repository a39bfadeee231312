"""Stage evaluate_digits: the ten-class models (In 40-51)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages._accuracy import fold_accuracies
from stages._arrays import load, load_group
from stages._reports import Metrics, write_metrics


def cross_validated(y: NDArray[np.uint8], scores: NDArray, folds: NDArray[np.uint8]) -> Metrics:
    """The accuracy in each fold: the digit of the highest out-of-fold score against ``y``.

    Args:
        y: (n,).
        scores: (n, 10).
        folds: (n,), the fold of each image, from 0.
    """
    return {"accuracy": fold_accuracies(scores.argmax(axis=1) == y, folds)}


def trained(y_test: NDArray[np.uint8], answers: dict[str, NDArray]) -> Metrics:
    """What a model trained on all images answers; of :func:`stages.train.answers`."""
    scores = {f"score_{digit}": score for digit, score in enumerate(answers["first_scores"])}
    return {
        "test_accuracy": np.mean(answers["predictions"] == y_test),
        "first_digit": {"prediction": answers["first_prediction"], **scores},
        "n_estimators": answers["n_estimators"],
        "n_problems": answers["n_problems"],
    }


def main(
    labels: Path,
    test_labels: Path,
    scores: dict[str, Path],
    answers: dict[str, Path],
    metrics: dict[str, Path],
) -> None:
    """Write the metrics of every model.

    The notebook cross-validates ``sgd_scaled`` without training it, and trains the SVCs without
    cross-validating them: each file has what there is.
    """
    y, y_test = load(labels), load(test_labels)
    for model, path in metrics.items():
        report: Metrics = {}
        if model in answers:
            report = {**report, **trained(y_test, load_group(answers[model]))}
        if model in scores:
            group = load_group(scores[model])
            report = {**report, **cross_validated(y, group["scores"], group["folds"])}
        write_metrics(path, report)
