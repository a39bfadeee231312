"""Stage evaluate_machine: what the machine of strokes is worth, and what it still gets wrong."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from stages.common.arrays import load, load_group
from stages.evaluate.accuracy import recalls
from stages.neighbors.evaluate_neighbors import predictions as voted
from stages.output.pictures import save_panels
from stages.output.tables import Metrics, write_csv, write_metrics

# Of predictions.npz, by what has been added, and the parameter that adds nothing where it is 0.
STEPS = {
    "SVC on strokes": ("without_copies", "gamma"),
    "and on copies": ("alone", "n_copies"),
    "and a second opinion": ("predictions", "weight"),
}
MOST_PICTURES, COLUMNS, INCHES = 60, 8, 1.0


def error(answers: NDArray, y: NDArray) -> dict[str, Any]:
    """How many answers are wrong, their share, and Wilson's 95 % interval of it, low and high.

    Args:
        answers: (n,).
        y: (n,), the truth.
    """
    errors = int(np.sum(answers != y))
    interval = binomtest(errors, len(y)).proportion_ci(method="wilson")
    return {
        "errors": errors,
        "share": errors / len(y),
        "low": interval.low,
        "high": interval.high,
    }


def against(answers: NDArray, others: NDArray, y: NDArray) -> Metrics:
    """Which of two classifiers is wrong where the other is right, and McNemar's exact test of that.

    Args:
        answers: (n,), this one's.
        others: (n,), that one's.
        y: (n,), the truth.

    Returns:
        ``only_this_wrong``, ``only_that_wrong``, and ``p``: how likely two that are as good as each
        other differ by so much or more.
    """
    this, that = answers != y, others != y
    only_this, only_that = int(np.sum(this & ~that)), int(np.sum(that & ~this))
    differing = only_this + only_that
    p = binomtest(only_this, differing).pvalue if differing else 1.0
    return {"only_this_wrong": only_this, "only_that_wrong": only_that, "p": p}


def steps(
    said: Mapping[str, NDArray], votes: NDArray, chosen: Mapping[str, float], y: NDArray
) -> dict[str, list[Any]]:
    """The error of each step from kNN on shifted copies to the machine, as columns.

    Args:
        said: The answers for the test images, as :mod:`stages.strokes.train_machine` writes them.
        votes: (n,), those of the kNN classifier.
        chosen: The parameters of the machine. A step that adds nothing is left out.
        y: (n,), the truth.
    """
    answers = {"kNN on shifted copies": votes}
    answers |= {name: said[key] for name, (key, parameter) in STEPS.items() if chosen[parameter]}
    rows = [{"step": name} | error(of_step, y) for name, of_step in answers.items()]
    return {column: [row[column] for row in rows] for column in rows[0]}


def main(
    chosen: Path,
    predictions: Path,
    test: dict[str, Path],
    classes: Path,
    neighbors: dict[str, Path],
    metrics: Path,
    curve: Path,
    picture: Path,
) -> None:
    """Write the metrics, the error of each step, and the images that it still gets wrong.

    Args:
        chosen: What :mod:`stages.strokes.choose_machine` has found best.
        predictions: What :mod:`stages.strokes.train_machine` says.
        test: ``images`` and ``labels``.
        classes: Their names.
        neighbors: The kNN classifier that it is compared with: ``grid``, whose winner it is, its
            ``labels``, and the neighbours ``of_test``.
        metrics: The JSON file to write.
        curve: The CSV file to write.
        picture: The PNG file to write.
    """
    y, said = np.asarray(load(test["labels"])), load_group(predictions)
    best, answers = json.loads(chosen.read_text(encoding="utf-8")), said["predictions"]
    knn = json.loads(neighbors["grid"].read_text(encoding="utf-8"))["best"]
    found, labels = load_group(neighbors["of_test"]), load(neighbors["labels"])
    votes = voted(found, labels, knn["n_neighbors"], knn["weights"])
    write_metrics(
        metrics,
        {
            "test_accuracy": np.mean(answers == y),
            "test_recall": recalls(y, answers),
            "test_error": error(answers, y),
            "against_knn_augmented": against(answers, votes, y),
            **best,
        },
    )
    write_csv(curve, steps(said, votes, best, y))
    names = json.loads(classes.read_text(encoding="utf-8"))["names"]
    rows = np.flatnonzero(answers != y)[:MOST_PICTURES]
    titles = [f"{names[str(y[row])]}, not {names[str(answers[row])]}" for row in rows]
    # Whole lines, and a blank one where nothing is wrong.
    blank = -len(rows) % COLUMNS if len(rows) else COLUMNS
    shown = [*load(test["images"])[rows], *np.zeros((blank, 28, 28))]
    save_panels(picture, shown, titles + [""] * blank, COLUMNS, INCHES)
