"""Stage evaluate_digits: the models of all classes (In 40-51), and the best beside the others."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load_group, load_set
from stages.evaluate.accuracy import fold_accuracies, recalls
from stages.evaluate.errors import error, mcnemar, steps
from stages.output.tables import Metrics, write_csv, write_metrics


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


def trained(y_test: NDArray[np.uint8], answers: Mapping[str, NDArray]) -> Metrics:
    """What a model trained on all images is worth.

    Args:
        y_test: (n,).
        answers: ``predictions`` (n,), and what else :func:`stages.models.fit.predictions` returns:
            of the first image, and single values, which are taken as they are.
    """
    first: Metrics = {}
    if "first_prediction" in answers:
        of_classes = zip(answers["classes"], answers["first_scores"], strict=True)
        scores = {f"score_{label}": score for label, score in of_classes}
        first = {"first_digit": {"prediction": answers["first_prediction"].item(), **scores}}
    values: Metrics = {name: of.item() for name, of in answers.items() if of.ndim == 0}
    return {
        "test_accuracy": np.mean(answers["predictions"] == y_test),
        "test_recall": recalls(y_test, answers["predictions"]),
        **first,
        **{name: value for name, value in values.items() if name != "first_prediction"},
    }


def main(
    train: Path,
    test: Path,
    models: list[Path],
    strokes: Path,
    knn: Path,
    chosen: Path,
    metrics: Path,
    strokes_metrics: Path,
    plots: Path,
) -> None:
    """Write the metrics of every model, a file each, and the errors of the SVM on strokes.

    The notebook cross-validates ``sgd_scaled`` without training it, and trains the SVCs without
    cross-validating them: each file has what there is.

    Args:
        train: The folder of the training set.
        test: That of the test set.
        models: The folders of the models: ``predictions.npz``, of the test images,
            ``out_of_fold.npz``, of the training images, or both.
        strokes: The folder of the SVM on strokes.
        knn: That of the kNN classifier that it is compared with.
        chosen: The folder that :mod:`stages.strokes.choose_svm` writes.
        metrics: The folder to write.
        strokes_metrics: The JSON file to write.
        plots: The folder of ``strokes_steps.csv`` and ``strokes_grid.csv``.
    """
    y, y_test = load_set(train)[1], load_set(test)[1]
    for folder in models:
        report: Metrics = {}
        if (path := folder / "predictions.npz").exists():
            report = {**report, **trained(y_test, load_group(path))}
        if (path := folder / "out_of_fold.npz").exists():
            report = {**report, **cross_validated(y, **load_group(path))}
        write_metrics(metrics / f"{folder.name}.json", report)
    answers, votes = (load_group(folder / "predictions.npz") for folder in (strokes, knn))
    best = json.loads((chosen / "chosen.json").read_text(encoding="utf-8"))
    compared = mcnemar(answers["predictions"], votes["predictions"], y_test)
    test_error = error(answers["predictions"], y_test)
    write_metrics(
        strokes_metrics, {"test_error": test_error, "against_knn_augmented": compared, **best}
    )
    write_csv(plots / "strokes_steps.csv", steps(answers, votes["predictions"], best, y_test))
    write_csv(plots / "strokes_grid.csv", load_group(chosen / "grid.npz"))
