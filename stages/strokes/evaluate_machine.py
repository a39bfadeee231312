"""Stage evaluate_machine: what the machine of strokes is worth, and what it still gets wrong."""

import json
from math import comb, sqrt
from pathlib import Path

import numpy as np

from stages.common.arrays import load, load_group
from stages.evaluate.accuracy import recalls
from stages.neighbors.evaluate_neighbors import predictions as voted
from stages.output.pictures import save_panels
from stages.output.tables import write_csv, write_metrics

# Of a normal distribution, 95 of 100 are so near to the mean.
DEVIATIONS = 1.959963984540054
# Of predictions.npz, by what has been added.
STEPS = {
    "SVC on strokes": "without_copies",
    "and on copies": "alone",
    "and a second opinion": "predictions",
}
MOST_PICTURES, COLUMNS, INCHES = 60, 8, 1.0


def wilson(errors: int, n: int) -> tuple[float, float]:
    """The interval of Wilson (1927) that holds an error rate with 95 % confidence.

    Args:
        errors: Of n.
        n: 1 or more.
    """
    z = DEVIATIONS**2 / n
    middle = (errors / n + z / 2) / (1 + z)
    half = sqrt(errors / n * (1 - errors / n) * z + z * z / 4) / (1 + z)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def mcnemar(only_first: int, only_second: int) -> float:
    """How likely two classifiers that are as good as each other differ by so much or more.

    McNemar's test (1947), two-sided and exact.

    Args:
        only_first: How many images only the first one gets wrong.
        only_second: How many only the second one.
    """
    n, fewer = only_first + only_second, min(only_first, only_second)
    return min(1.0, 2 * sum(comb(n, i) for i in range(fewer + 1)) / 2**n)


def main(
    chosen: Path,
    predictions: Path,
    test: dict[str, Path],
    classes: Path,
    neighbors: dict[str, Path],
    metrics: Path,
    steps: Path,
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
        steps: The CSV file to write.
        picture: The PNG file to write.
    """
    y, said = np.asarray(load(test["labels"])), load_group(predictions)
    answers = said["predictions"]
    wrong, knn = answers != y, json.loads(neighbors["grid"].read_text(encoding="utf-8"))["best"]
    of_test, labels = load_group(neighbors["of_test"]), load(neighbors["labels"])
    votes = voted(of_test, labels, knn["n_neighbors"], knn["weights"])
    only_ours, only_theirs = int(np.sum(wrong & (votes == y))), int(np.sum(~wrong & (votes != y)))
    low, high = wilson(int(wrong.sum()), len(y))
    write_metrics(
        metrics,
        {
            "test_accuracy": 1 - wrong.mean(),
            "test_recall": recalls(y, answers),
            "test_error": {"errors": wrong.sum(), "share": wrong.mean(), "low": low, "high": high},
            "against_knn_augmented": {
                "only_this_wrong": only_ours,
                "only_that_wrong": only_theirs,
                "p": mcnemar(only_ours, only_theirs),
            },
            **json.loads(chosen.read_text(encoding="utf-8")),
        },
    )
    by_step = {"kNN on shifted copies": votes} | {name: said[key] for name, key in STEPS.items()}
    errors = {name: int(np.sum(answer != y)) for name, answer in by_step.items()}
    lows, highs = zip(*(wilson(n, len(y)) for n in errors.values()), strict=True)
    share = [n / len(y) for n in errors.values()]
    columns = {"step": list(errors), "errors": list(errors.values()), "error": share}
    write_csv(steps, {**columns, "low": lows, "high": highs})
    names = json.loads(classes.read_text(encoding="utf-8"))["names"]
    rows = np.flatnonzero(wrong)[:MOST_PICTURES]
    titles = [f"{names[str(y[row])]}, not {names[str(answers[row])]}" for row in rows]
    # Whole lines, and a blank one where nothing is wrong.
    blank = -len(rows) % COLUMNS if len(rows) else COLUMNS
    shown = [*load(test["images"])[rows], *np.zeros((blank, 28, 28))]
    save_panels(picture, shown, titles + [""] * blank, COLUMNS, INCHES)
