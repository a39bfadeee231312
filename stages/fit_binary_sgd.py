"""Stage fit_binary_sgd: the SGD detector, cross-validated on two cuts and trained (In 10-24).

One fit is one sequential problem; all of them side by side keep every core busy.
"""

from pathlib import Path
from typing import Literal

import joblib
import numpy as np
from sklearn.model_selection import StratifiedKFold

from stages._answers import answers
from stages._arrays import as_rows, load, save_group
from stages._fits import fit_each, join_scores, outside_each
from stages._folds import fold_numbers
from stages._params.base import read
from stages._params.cross_validate import CrossValidate
from stages._progress import joblib_progress
from stages._tasks import task_labels
from stages.models.sgd import build


def cuts(params: CrossValidate) -> dict[str, StratifiedKFold]:
    """How the notebook cuts the folds: in the order of the images (In 13), and shuffled (In 12)."""
    shuffled = StratifiedKFold(params.folds, shuffle=True, random_state=params.shuffle_seed)
    return {"stratified": StratifiedKFold(params.folds), "shuffled": shuffled}


def main(
    params: Path,
    images: Path,
    labels: Path,
    test_images: Path,
    scores: dict[Literal["shuffled", "stratified"], Path],
    answers_out: Path,
    model_out: Path,
) -> None:
    """Write ``scores`` and ``folds`` of each cut, the trained model (joblib) and its answers."""
    X, test = as_rows(load(images)), as_rows(load(test_images))
    y = task_labels("binary", load(labels), params)
    section = read(params, "cross_validate", CrossValidate)
    folds = {cut: fold_numbers(cuts(section)[cut], y) for cut in scores}
    # All images first, the longest fit, lest it be waited for in the end.
    parts = [np.full(len(y), True), *(part for cut in folds for part in outside_each(folds[cut]))]
    with joblib_progress(None, "fit binary sgd"):
        trained, *models = fit_each(build(params, X), X, y, parts)
    for cut, path in scores.items():
        of_cut, models = models[: section.folds], models[section.folds :]
        save_group(path, scores=join_scores(of_cut, X, folds[cut]), folds=folds[cut])
    save_group(answers_out, **answers(trained, X[:1], test, decimals=4))
    model_out.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(trained, model_out)
