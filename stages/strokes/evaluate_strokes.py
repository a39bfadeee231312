"""Stage evaluate_strokes: what the SVM on strokes is worth, and what it still gets wrong."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from stages.common.arrays import load_group, load_set
from stages.output.pictures import save_panels
from stages.output.tables import Metrics, write_csv, write_metrics

# Of predictions.npz, by what has been added, and the parameter that adds nothing where it is 0.
STEPS = {
    "SVC on strokes": ("without_copies", "gamma"),
    "and on copies": ("alone", "n_virtual_copies"),
    "and a second opinion": ("predictions", "weight"),
}
MAX_PICTURES, COLUMNS, INCHES = 60, 8, 1.0


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


def mcnemar(answers: NDArray, others: NDArray, y: NDArray) -> Metrics:
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
    """The error of each step from kNN on shifted copies to the SVM, as columns.

    Args:
        said: The answers for the test images, as :mod:`stages.strokes.train_svm` writes them.
        votes: (n,), those of the kNN classifier.
        chosen: The parameters of the SVM. A step that adds nothing is left out.
        y: (n,), the truth.
    """
    answers = {"kNN on shifted copies": votes}
    answers |= {name: said[key] for name, (key, parameter) in STEPS.items() if chosen[parameter]}
    rows = [{"step": name} | error(of_step, y) for name, of_step in answers.items()]
    return {column: [row[column] for row in rows] for column in rows[0]}


def main(
    chosen: Path,
    test: Path,
    classes: Path,
    model: Path,
    knn: Path,
    metrics: Path,
    plots: Path,
    picture: Path,
) -> None:
    """Write the metrics, the error of each step and candidate, and the images still wrong.

    Args:
        chosen: The folder that :mod:`stages.strokes.choose_svm` writes.
        test: The folder of the test set.
        classes: The names of the classes.
        model: The folder of the model, with its ``predictions.npz``.
        knn: That of the kNN classifier that it is compared with.
        metrics: The JSON file to write.
        plots: The folder of ``strokes_steps.csv`` and ``strokes_grid.csv``.
        picture: The PNG file to write.
    """
    images, y = map(np.asarray, load_set(test))
    said, votes = load_group(model / "predictions.npz"), load_group(knn / "predictions.npz")
    best = json.loads((chosen / "chosen.json").read_text(encoding="utf-8"))
    answers = said["predictions"]
    write_metrics(
        metrics,
        {
            "test_error": error(answers, y),
            "against_knn_augmented": mcnemar(answers, votes["predictions"], y),
            **best,
        },
    )
    write_csv(plots / "strokes_steps.csv", steps(said, votes["predictions"], best, y))
    write_csv(plots / "strokes_grid.csv", load_group(chosen / "grid.npz"))
    names = json.loads(classes.read_text(encoding="utf-8"))["names"]
    rows = np.flatnonzero(answers != y)[:MAX_PICTURES]
    titles = [f"{names[str(y[row])]}, not {names[str(answers[row])]}" for row in rows]
    # Whole lines, and a blank one where nothing is wrong.
    blank = -len(rows) % COLUMNS if len(rows) else COLUMNS
    shown = [*images[rows], *np.zeros((blank, 28, 28))]
    save_panels(picture, shown, titles + [""] * blank, COLUMNS, INCHES)
