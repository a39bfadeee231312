"""Stage choose_machine: which kernel, how many copies, how much a second opinion counts.

A first machine is trained on each fold alone. The machine of all images, and those of all folds but
one, are trained on the support vectors of these: a cascade (Graf et al., Parallel support vector
machines: the cascade SVM, NIPS 2004).
"""

import json
from itertools import product
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from stages.common.arrays import load, save
from stages.common.folds import fold_numbers
from stages.common.params import read
from stages.common.progress import joblib_progress
from stages.output.tables import write_csv
from stages.strokes.machine import (
    Images,
    as_integers,
    decided,
    fitted,
    fitted_on_copies,
    ranked,
    second_opinion,
)


def main(params: Path, train: dict[str, Path], support: Path, chosen: Path, grid: Path) -> None:
    """Write every candidate's errors, the first with the fewest, and the rows of its support.

    A fold's answers are of a machine that is trained on the support vectors of the other folds.

    Args:
        params: The file of parameters.
        train: ``images``, ``labels`` and ``features``.
        support: The file of the rows that support the machine of their own fold.
        chosen: The file of the chosen parameters.
        grid: The file of the errors.
    """
    values, n_folds = read(params, "strokes"), read(params, "cross_validate.n_folds")
    images, y = Images.load(train), np.asarray(load(train["labels"]))
    folds = fold_numbers(StratifiedKFold(n_folds), y)

    def supporting(gamma: float, fold: int) -> NDArray[np.intp]:
        rows = np.flatnonzero(folds == fold)
        return rows[fitted(images.features[rows], y[rows], values["C"], gamma).support_]

    def errors(gamma: float, n_copies: int, fold: int) -> list[int]:
        inside = folds == fold
        rows = np.concatenate([found[gamma, other] for other in range(n_folds) if other != fold])
        model = fitted_on_copies(images.at(rows), y[rows], gamma, n_copies, values)
        asked, others = images.at(inside), images.at(~inside)
        ranking = ranked(as_integers(model), asked.features)
        opinion = second_opinion(ranking, asked, others, y[~inside])
        answers = [decided(ranking, opinion, weight) for weight in values["weight"]]
        return [int(np.sum(answer != y[inside])) for answer in answers]

    first = list(product(values["gamma"], range(n_folds)))
    second = product(values["gamma"], values["n_copies"], range(n_folds))
    with joblib_progress(None, "cross-validate"):
        parallel = Parallel(n_jobs=-1, prefer="threads")
        found = dict(
            zip(first, parallel(delayed(supporting)(*task) for task in first), strict=True)
        )
        counted = np.array(parallel(delayed(errors)(*task) for task in second))
    names = ("gamma", "n_copies", "weight")
    candidates = np.array(list(product(*(values[name] for name in names))), dtype=object)
    counts = counted.reshape(-1, n_folds, len(values["weight"])).sum(axis=1).ravel()
    columns = {name: list(column) for name, column in zip(names, candidates.T, strict=True)}
    write_csv(grid, {**columns, "errors": counts, "error": counts / len(y)})
    best = {name: column[counts.argmin()] for name, column in columns.items()}
    best["cross_validated_error"] = round(counts.min() / len(y), 10)
    chosen.write_text(json.dumps(best, indent=2) + "\n", encoding="utf-8")
    save(support, np.concatenate([found[best["gamma"], fold] for fold in range(n_folds)]))
