"""Stage train_svm: the chosen SVM, trained on all, and its answers for the test images."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load, load_set, save_group
from stages.common.params import read
from stages.models.saved import save_model
from stages.strokes.extract_features import normalising
from stages.strokes.svm import (
    Images,
    apply_second_opinion,
    as_integers,
    fitted,
    nearest,
    ranked,
    second_opinion,
    virtual_maps,
    with_copies,
)


def drawn(
    support: NDArray[np.intp], pixels: NDArray[np.uint8], maps: NDArray[np.float64]
) -> dict[str, NDArray]:
    """What has the features of support vectors, rows of n images and their copies.

    Returns:
        ``images`` (m, 28, 28), each once; for each support vector ``image``, which of these it is,
        and ``maps`` (2, 3), as it is normalised.
    """
    copy, row = np.divmod(support, len(pixels))
    rows, image = np.unique(row, return_inverse=True)
    return {"images": pixels[rows], "image": image.astype(np.int32), "maps": maps[copy, row]}


def main(params: Path, chosen: Path, train: Path, test: Path, features: Path, out: Path) -> None:
    """Write ``model.skops``, ``svm.npz`` and ``predictions.npz`` into the folder ``out``.

    ``svm.npz`` has the SVM as integers, what its support vectors are :func:`drawn` from, and how
    its second opinion is asked for. ``predictions`` are the answers for the test images, ``alone``
    those without a second opinion, and ``without_copies`` those of an SVM without copies, either.
    ``margin`` is by how much the answer was preferred to the second class, and
    ``squared_distances`` are those of the features to the nearest training image that is of the
    class of the answer, (n,).

    Args:
        params: The file of parameters.
        chosen: The folder that :mod:`stages.strokes.choose_svm` writes.
        train: The folder of the training set.
        test: That of the test set.
        features: That of their features of strokes.
        out: The folder to write into.
    """
    best = json.loads((chosen / "chosen.json").read_text(encoding="utf-8"))
    values, rows = read(params, "strokes"), load(chosen / "support.npy")
    (pixels, y), (test_pixels, _) = map(np.asarray, load_set(train)), load_set(test)
    images = Images(pixels, load(features / "train.npy"))
    queries = Images(np.asarray(test_pixels), load(features / "test.npy"))
    sets = [
        (*with_copies(images.at(rows), y[rows], n_virtual_copies, values), best["gamma"])
        for n_virtual_copies in (best["n_virtual_copies"], 0)
    ]
    svcs = fitted(sets, values["C"])
    learned, without_copies = map(as_integers, svcs)
    ranking = ranked(learned, queries.features)
    opinion = second_opinion(ranking, queries, images, y, values)
    decided = apply_second_opinion(ranking, opinion, best["weight"])
    found = nearest(queries.features, decided.first, images.features, y, 1)
    save_model(out / "model.skops", svcs[0].to_sklearn())
    how = {name: np.array(values[name]) for name in ("n_nearest", "max_displacement")}
    maps = virtual_maps(normalising(pixels[rows]), best["n_virtual_copies"], values)
    of_support = drawn(svcs[0].support_, pixels[rows], maps)
    save_group(out / "svm.npz", **learned, **of_support, **how, weight=np.array(best["weight"]))
    save_group(
        out / "predictions.npz",
        predictions=decided.first,
        alone=ranking.first,
        without_copies=ranked(without_copies, queries.features).first,
        margin=np.round(decided.margin, 4),
        squared_distances=np.array([squared[0] for _, squared in found]),
    )
