"""Stage fetch: the 70,000 images and labels of MNIST, or others that you name (In 4)."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stages.common.arrays import save_set
from stages.common.errors import UserError
from stages.common.params import read
from stages.data.photos import list_photos, read_photos
from stages.data.sources import (
    PUBLISHED,
    Fetch,
    Mnist,
    SourceError,
    folder_of_idx,
    n_train_of_idx,
    npm,
    openml,
    published,
    sample,
)
from stages.output.tables import write_metrics

AUTO = ("openml", "idx", "npm")
USER_SOURCES = ("folder", "pictures")
# Of all pixels, then all labels, in order: of the four IDX files of MNIST, test after train.
MNIST_SHA256 = "c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83"
SOURCES: Mapping[str, Fetch] = {
    **{name: partial(published, data_set) for name, data_set in PUBLISHED.items()},
    "openml": openml,
    "npm": npm,
    "folder": folder_of_idx,
    "pictures": read_photos,
    "sample": sample,
}


def sha256(mnist: Mnist) -> str:
    """The SHA-256 of all pixels, then all labels, in hexadecimal."""
    digest = hashlib.sha256()
    for array in mnist:
        digest.update(array.tobytes())
    return digest.hexdigest()


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError) and error.stderr:
        return str(error.stderr).strip().splitlines()[0]
    return " ".join(str(error).split()) or type(error).__name__


def fetch(source: str, folder: Path, sources: Mapping[str, Fetch] = SOURCES) -> Mnist:
    """The images of ``source``, or MNIST from the first of ``AUTO`` that gives it.

    Args:
        source: A name in ``sources``, or ``auto``.
        folder: What the sources ``folder`` and ``pictures`` read.
        sources: What to call for each name.

    Returns:
        Images (n, 28, 28) and labels (n,), uint8.

    Raises:
        UserError: No source gave them: what was tried, why each failed, and what to do.
    """
    failures = []
    for name in AUTO if source == "auto" else (source,):
        print(f"Images from {name} ...", file=sys.stderr, flush=True)
        try:
            mnist = sources[name](folder)
            if name in AUTO and sha256(mnist) != MNIST_SHA256:
                raise SourceError("its content is not MNIST's (another SHA-256)")
        # Whatever goes wrong with one source, the next may answer.
        except Exception as error:
            failures.append(f"{name}: {_why(error)}")
            print(f"  {failures[-1]}", file=sys.stderr, flush=True)
        else:
            return mnist
    instead = (
        f" Put the four IDX files into {folder} (data.source: folder), or use 5,000 digits "
        "(data.source: sample, split.n_train: 4000)."
    )
    if source in USER_SOURCES:
        is_empty = not any(folder.glob("[!.]*"))
        copied = f"-C PATH for each file and folder in {folder}"
        instead = f" `dvc exp run --temp` and `--queue` need {copied}." * is_empty
    raise UserError(f"No images. {'; '.join(failures)}.{instead}")


def describe_source(source: str, folder: Path) -> dict[str, Any]:
    """What a source says of its images: ``classes``, their names, and ``n_train``, if it has them.

    Labels are places in ``classes``. The first ``n_train`` images are for training; any other
    number of the first ones may be where it has none, as the 70,000 of MNIST are one set.
    """
    if source == "pictures":
        classes, train, test = list_photos(folder)
        return {"classes": classes, "n_train": len(train) if test else None}
    if source == "folder":
        return {"classes": (), "n_train": n_train_of_idx(folder)}
    if source in PUBLISHED:
        return {"classes": PUBLISHED[source].classes, "n_train": PUBLISHED[source].n_train}
    return {"classes": (), "n_train": None}


def main(params: Path, idx: Path, photos: Path, out: Path, metrics: Path) -> None:
    """Write the images and labels of ``data.source``, what it says of them, and what they are."""
    name = read(params, "data.source")
    folder = photos if name == "pictures" else idx
    mnist = fetch(name, folder)
    save_set(out, *mnist)
    text = json.dumps(describe_source(name, folder), indent=2) + "\n"
    (out / "source.json").write_text(text, encoding="utf-8")
    n, height, width = mnist[0].shape
    report = {"images": n, "pixels": height * width, "is_mnist": sha256(mnist) == MNIST_SHA256}
    write_metrics(metrics, report)
