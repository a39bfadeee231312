"""Stage check_data: the data against the parameters, before use, and the names of the classes.

What :mod:`stages.check_params` cannot know, because it takes the images. It comes right after
fetch: DVC has removed no output of a later stage then.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load_set
from stages.common.errors import UserError
from stages.common.params import read

# The report has room for so many.
MAX_CLASSES = 47
DIGITS = tuple("0123456789")
STRATIFIED = ("cross_validate.n_folds", "grid.n_folds")
OF_NEIGHBORS = ("grid.n_folds", "multilabel.n_folds")


def mistakes(
    params: dict[str, Any], labels: NDArray[np.uint8], source: dict[str, Any]
) -> Iterator[str]:
    """Yield, in a line each, what keeps the pipeline from treating these images right.

    Args:
        params: The values that :func:`main` reads, by their dotted keys.
        labels: (n,), of all images.
        source: ``classes`` and ``n_train`` of :class:`stages.data.sources.Fetched`.
    """
    n_train = params["split.n_train"]
    if source["n_train"] not in (None, n_train):
        yield (
            f"split.n_train is {n_train}, but should be {source['n_train']}, the number of the "
            "source's training images"
        )
        return
    if n_train >= len(labels):
        yield (
            f"split.n_train is {n_train}, but should be less than the {len(labels):,} images "
            "(4000 with data.source: sample)"
        )
        return
    classes, counts = np.unique(labels[:n_train], return_counts=True)
    known = ", ".join(map(str, classes))
    if not 2 <= len(classes) <= MAX_CLASSES:
        yield f"there are {len(classes)} classes to train on, but should be 2 to {MAX_CLASSES}"
    for label in np.setdiff1d(labels[n_train:], classes):
        yield f"no training image has the class {label}, which a test image has"
    for key in ("binary.target", "errors.pair"):
        if not np.isin(params[key], classes).all():
            yield f"{key} is {params[key]}, but should be of the classes {known}"
    names, n_classes = params["data.classes"], len(np.unique(labels))
    if names != "auto" and len(names) != n_classes:
        yield (
            f"data.classes has {len(names)} names, but should have {n_classes}: one for each of "
            f"the classes {known}"
        )
    rarest = int(counts.argmin())
    for key in STRATIFIED:
        if params[key] > counts[rarest]:
            yield (
                f"{key} is {params[key]}, but should be at most {counts[rarest]}: "
                f"there are no more training images of class {classes[rarest]}"
            )
    outside = n_train - max(-(-n_train // params[key]) for key in OF_NEIGHBORS)
    for key, at_most, what in (
        ("multilabel.n_folds", n_train, "there are no more training images"),
        ("neighbors.k", outside, "there are no more training images outside of a fold"),
        ("denoise.n_neighbors", n_train, "there are no more training images"),
        ("augment.picture.image", n_train - 1, "it is the index of a training image"),
    ):
        if params[key] > at_most:
            yield f"{key} is {params[key]}, but should be at most {at_most}: {what}"


def named(labels: NDArray[np.uint8], names: Sequence[str]) -> dict[str, Any]:
    """The classes of the labels (n,), and what an image of one is called.

    Args:
        labels: (n,), of all images.
        names: One a class, in the order of the labels; none for the labels themselves.

    Returns:
        ``names``, by the label as text; ``noun``, "digit" if these are 0 to 9, or some of them, and
        "image" if not.
    """
    classes = [str(label) for label in np.unique(labels)]
    of_classes = dict(zip(classes, names or classes, strict=True))
    are_digits = all(name in DIGITS for name in of_classes.values())
    return {"noun": "digit" if are_digits else "image", "names": of_classes}


def main(params: Path, mnist: Path, checked: Path, classes: Path) -> None:
    """Check the labels of all images, and write what the classes are called.

    ``checked`` is written as well, whose content never changes.

    Raises:
        UserError: The :func:`mistakes`, a line each.
    """
    keys = (
        "data.classes",
        "split.n_train",
        "binary.target",
        "errors.pair",
        *{*STRATIFIED, *OF_NEIGHBORS},
        "neighbors.k",
        "denoise.n_neighbors",
        "augment.picture.image",
    )
    values, (_, y) = {key: read(params, key) for key in keys}, load_set(mnist)
    source_info = json.loads((mnist / "source.json").read_text(encoding="utf-8"))
    if lines := [f"{params}: {mistake}" for mistake in mistakes(values, y, source_info)]:
        raise UserError("\n".join(lines))
    # A source's own names are of the labels from 0, of which an image may have none.
    own = (
        [source_info["classes"][label] for label in np.unique(y)] if source_info["classes"] else []
    )
    names = own if values["data.classes"] == "auto" else values["data.classes"]
    text = json.dumps(named(y, names), indent=2, ensure_ascii=False)
    classes.write_text(text + "\n", encoding="utf-8")
    checked.write_text("data and parameters fit\n", encoding="utf-8")
