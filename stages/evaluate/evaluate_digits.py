"""Stage evaluate_digits: the models of all classes (In 40-51), and the best beside the others."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load_group, load_set
from stages.evaluate.accuracy import fold_accuracies
from stages.evaluate.errors import error, mcnemar, steps
from stages.output.tables import write_csv, write_metrics


def trained(y_test: NDArray[np.uint8], answers: Mapping[str, NDArray]) -> dict[str, Any]:
    """What a model trained on all images is worth.

    Args:
        y_test: (n,).
        answers: ``predictions`` (n,), and what else :func:`stages.models.fit.predictions` returns:
            of the first image, and single values, which are taken as they are.
    """
    predictions = answers["predictions"]
    recalls = {str(of): np.mean(predictions[y_test == of] == of) for of in np.unique(y_test)}
    found = {"test_accuracy": np.mean(predictions == y_test), "test_recall": recalls}
    values = {name: value.item() for name, value in answers.items() if value.ndim == 0}
    if "first_prediction" in values:
        of_classes = zip(answers["classes"], answers["first_scores"], strict=True)
        scores = {f"score_{label}": score for label, score in of_classes}
        found["first_digit"] = {"prediction": values.pop("first_prediction"), **scores}
    return found | values


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
        models: The folders of the other models: ``predictions.npz``, of the test images,
            ``out_of_fold.npz``, of the training images, or both.
        strokes: The folder of the SVM on strokes.
        knn: That of the kNN classifier that it is compared with.
        chosen: The folder that :mod:`stages.strokes.choose_svm` writes.
        metrics: The folder to write.
        strokes_metrics: The JSON file to write.
        plots: The folder of ``strokes_steps.csv`` and ``strokes_grid.csv``.
    """
    y, y_test = load_set(train)[1], load_set(test)[1]
    answers = {}
    for folder in (*models, knn, strokes):
        report: dict[str, Any] = {}
        if (path := folder / "predictions.npz").exists():
            answers[folder] = load_group(path)
            report = trained(y_test, answers[folder])
        if (path := folder / "out_of_fold.npz").exists():
            group = load_group(path)
            correct = group["classes"][group["scores"].argmax(axis=1)] == y
            report["accuracy"] = fold_accuracies(correct, group["folds"])
        write_metrics(metrics / f"{folder.name}.json", report)
    said, votes = answers[strokes]["predictions"], answers[knn]["predictions"]
    best = json.loads((chosen / "chosen.json").read_text(encoding="utf-8"))
    compared = {
        "test_error": error(said, y_test),
        "against_knn_augmented": mcnemar(said, votes, y_test),
    }
    write_metrics(strokes_metrics, compared | best)
    write_csv(plots / "strokes_steps.csv", steps(answers[strokes], votes, best, y_test))
    write_csv(plots / "strokes_grid.csv", load_group(chosen / "grid.npz"))
