"""Stage train_machine: the chosen machine, trained on all, and its answers for the test images."""

import json
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from stages.common.arrays import load, save_group
from stages.common.params import read
from stages.models.saved import save_model
from stages.strokes.machine import (
    Images,
    as_integers,
    decided,
    fitted_on_copies,
    nearest,
    ranked,
    second_opinion,
)


def main(
    params: Path,
    chosen: Path,
    support: Path,
    train: dict[str, Path],
    test: dict[str, Path],
    out: Path,
) -> None:
    """Write ``model.skops``, ``machine.npz`` and ``predictions.npz`` into the folder ``out``.

    ``machine.npz`` has the machine as integers, and how its second opinion is asked for.
    ``predictions`` are the answers for the test images, ``alone`` those without a second opinion,
    and ``without_copies`` those of a machine without copies, either. ``margin`` is by how much the
    answer was preferred to the second class, and ``squared_distances`` are those of the features to
    the nearest training image that is of the class of the answer, (n,).

    Args:
        params: The file of parameters.
        chosen: Those that :mod:`stages.strokes.choose_machine` has found best.
        support: The rows to train on.
        train: ``images``, ``labels`` and ``features``.
        test: ``images`` and ``features``.
        out: The folder to write into.
    """
    best, values = json.loads(chosen.read_text(encoding="utf-8")), read(params, "strokes")
    images, asked = Images.load(train), Images.load(test)
    y, rows = np.asarray(load(train["labels"])), load(support)
    models = Parallel(n_jobs=-1, prefer="threads")(
        delayed(fitted_on_copies)(images.at(rows), y[rows], best["gamma"], n_copies, values)
        for n_copies in (best["n_copies"], 0)
    )
    learned, plain = map(as_integers, models)
    ranking = ranked(learned, asked.features)
    opinion = second_opinion(ranking, asked, images, y, values)
    said = decided(ranking, opinion, best["weight"])
    found = nearest(asked.features, said.first, images.features, y, 1)
    save_model(out / "model.skops", models[0])
    how = {name: np.array(values[name]) for name in ("n_nearest", "moves")}
    save_group(out / "machine.npz", **learned, **how, weight=np.array(best["weight"]))
    save_group(
        out / "predictions.npz",
        predictions=said.first,
        alone=ranking.first,
        without_copies=ranked(plain, asked.features).first,
        margin=np.round(said.margin, 4),
        squared_distances=np.array([squared[0] for _, squared in found]),
    )
