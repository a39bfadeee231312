"""Stage check_data: the data against the parameters, before use, and the names of the classes.

What :mod:`stages.check_params` cannot know, because it takes the images. It comes right after
fetch: DVC has removed no output of a later stage then.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.arrays import load_set
from stages.common.errors import UserError
from stages.common.params import read

# The report has room for so many; a tile of confusions.png, for a name of so many.
MAX_CLASSES, MAX_CHARACTERS = 47, 30
OF_NEIGHBORS = ("grid.n_folds", "multilabel.n_folds")


def mistakes(
    value: Callable[[str], Any], labels: NDArray[np.uint8], source: dict[str, Any]
) -> Iterator[str]:
    """Yield, in a line each, what keeps the pipeline from treating these images right.

    Args:
        value: Gives a parameter by its dotted key.
        labels: (n,), of all images.
        source: ``classes`` and ``n_train`` of :class:`stages.data.sources.Fetched`.
    """
    n_train = value("split.n_train")
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
        if not np.isin(value(key), classes).all():
            yield f"{key} is {value(key)}, but should be of the classes {known}"
    names, n_classes = value("data.classes"), len(np.unique(labels))
    if names == "auto":
        names = source["classes"]
    elif len(names) != n_classes:
        yield (
            f"data.classes has {len(names)} names, but should have {n_classes}: one for each of "
            f"the classes {known}"
        )
    for name in names:
        if not (name.strip() and name.isprintable() and len(name) <= MAX_CHARACTERS):
            yield (
                f"a class has the name {name!a}, but should have one of 1 to {MAX_CHARACTERS} "
                "characters that can be printed"
            )
    outside = n_train - max(-(-n_train // value(key)) for key in OF_NEIGHBORS)
    no_more = "there are no more training images"
    of_rarest = f"{no_more} of class {classes[counts.argmin()]}"
    for key, at_most, what in (
        ("cross_validate.n_folds", counts.min(), of_rarest),
        ("grid.n_folds", counts.min(), of_rarest),
        ("multilabel.n_folds", n_train, no_more),
        ("neighbors.k", outside, f"{no_more} outside of a fold"),
        ("denoise.n_neighbors", n_train, no_more),
        ("augment.picture.image", n_train - 1, "it is the index of a training image"),
    ):
        if value(key) > at_most:
            yield f"{key} is {value(key)}, but should be at most {at_most}: {what}"


def main(params: Path, mnist: Path, checked: Path, classes: Path) -> None:
    """Check the labels of all images; write ``checked``, which never changes, and the names.

    These are ``names``, by the label as text, and ``noun``, what an image shows: "digit" if the
    names are 0 to 9, or some of them, and "image" if not.

    Raises:
        UserError: The :func:`mistakes`, a line each.
    """
    value, (_, y) = partial(read, params), load_set(mnist)
    source_info = json.loads((mnist / "source.json").read_text(encoding="utf-8"))
    if lines := [f"{params}: {mistake}" for mistake in mistakes(value, y, source_info)]:
        raise UserError("\n".join(lines))
    labels, names = np.unique(y), value("data.classes")
    if names == "auto":
        # A source's own names are of the labels from 0, of which an image may have none.
        own = source_info["classes"]
        names = [own[label] if own else str(label) for label in labels]
    noun = "digit" if set(names) <= set("0123456789") else "image"
    of_classes = {"noun": noun, "names": dict(zip(map(str, labels), names, strict=True))}
    text = json.dumps(of_classes, indent=2, ensure_ascii=False)
    classes.write_text(text + "\n", encoding="utf-8")
    checked.write_text("data and parameters fit\n", encoding="utf-8")
