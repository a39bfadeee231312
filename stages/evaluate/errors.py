"""How many answers are wrong, how sure that rate is, and whether two classifiers differ."""

from collections.abc import Mapping
from math import comb
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.output.tables import Metrics

# Of predictions.npz, by what has been added, and the parameter that adds nothing where it is 0.
STEPS = {
    "SVC on strokes": ("without_copies", "gamma"),
    "and on copies": ("alone", "n_virtual_copies"),
    "and a second opinion": ("predictions", "weight"),
}


def error(answers: NDArray, y: NDArray) -> dict[str, Any]:
    """How many answers are wrong, their share, and Wilson's 95 % interval of it, low and high.

    E. B. Wilson, Probable inference, JASA 22 (1927).

    Args:
        answers: (n,).
        y: (n,), the truth.
    """
    errors, n, z = int(np.sum(answers != y)), len(y), NormalDist().inv_cdf(0.975)
    share = errors / n
    middle = share + z**2 / (2 * n)
    half = z * (share * (1 - share) / n + (z / (2 * n)) ** 2) ** 0.5
    low, high = ((middle + side) / (1 + z**2 / n) for side in (-half, half))
    # Of none or all, one end is the share, which rounding may miss.
    low, high = low if errors else 0.0, high if errors < n else 1.0
    return {"errors": errors, "share": share, "low": low, "high": high}


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
    n, fewer = only_this + only_that, min(only_this, only_that)
    p = min(1.0, 2 * sum(comb(n, i) for i in range(fewer + 1)) / 2**n)
    return {"only_this_wrong": only_this, "only_that_wrong": only_that, "p": p}


def steps(
    strokes: Mapping[str, NDArray], votes: NDArray, chosen: Mapping[str, float], y: NDArray
) -> dict[str, list[Any]]:
    """The error of each step from kNN on shifted copies to the SVM on strokes, as columns.

    Args:
        strokes: The answers for the test images, as :mod:`stages.strokes.train_svm` writes them.
        votes: (n,), those of the kNN classifier.
        chosen: The parameters of the SVM. A step that adds nothing is left out.
        y: (n,), the truth.
    """
    answers = {"kNN on shifted copies": votes}
    answers |= {name: strokes[key] for name, (key, parameter) in STEPS.items() if chosen[parameter]}
    rows = [{"step": name} | error(of_step, y) for name, of_step in answers.items()]
    return {column: [row[column] for row in rows] for column in rows[0]}
