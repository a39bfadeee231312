"""Splitting, augmenting, and the pictures."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from stages.common.arrays import save_set
from stages.common.errors import UserError
from stages.data import check_data
from stages.data.augment import augment, shifted
from stages.data.sources import Mnist
from stages.output.pictures import save_matrix, save_panels, sheet
from tests.support import ROOT
from tests.support.clone import Clone

PARAMS: dict[str, Any] = {
    "data.classes": "auto",
    "split.n_train": 31,
    "binary.target": 9,
    "errors.pair": [9, 20],
    "cross_validate.n_folds": 3,
    "grid.n_folds": 5,
    "multilabel.n_folds": 2,
    "neighbors.k": 15,
    "denoise.n_neighbors": 30,
    "augment.picture.image": 29,
}
# 31 training images, 9 of the rarest class, and 3 test images.
LABELS = np.array([9, 20, 255] * 9 + [20, 255] * 2 + [9, 20, 255], np.uint8)


def run_stage(folder: Path, labels: Any, classes: list[str], **edits: Any) -> Any:
    """What check_data writes of the classes that the source names, with params.yaml edited."""
    shutil.copy(ROOT / "params.yaml", folder)
    Clone(folder).edit(**edits)
    save_set(folder, *[np.asarray(labels, np.uint8)] * 2)
    (folder / "source.json").write_text(json.dumps({"classes": classes, "n_train": None}))
    outs = folder / "checked", folder / "classes.json"
    check_data.main(folder / "params.yaml", folder, *outs)
    assert outs[0].exists()
    return json.loads(outs[1].read_text())


def told(labels: Any = LABELS, n_train: Any = None, source: Any = (), **edits: Any) -> list[str]:
    """The mistakes where parameters have other values, a dot in their names written as __."""
    params = PARAMS | {name.replace("__", "."): value for name, value in edits.items()}
    source_info: dict[str, Any] = {"classes": source, "n_train": n_train}
    return list(check_data.mistakes(params.__getitem__, np.array(labels, np.uint8), source_info))


def test_data_that_fit_have_no_mistakes() -> None:
    assert told() == told(n_train=31) == []
    few: dict[str, Any] = {"binary__target": 0, "errors__pair": [0, 1], "denoise__n_neighbors": 5}
    few |= {"augment__picture__image": 0, "neighbors__k": 5}
    for n_classes in (2, 47):
        assert told([*range(n_classes)] * 11, split__n_train=10 * n_classes, **few) == []


# More folds than the rarest class has images: scikit-learn would leave a fold without it, and warn.
# More neighbours than are outside of a fold, of which the largest has 16.
MOST = {"cross_validate.n_folds": 9, "grid.n_folds": 9, "multilabel.n_folds": 31}
MOST |= {"neighbors.k": 15, "denoise.n_neighbors": 31, "augment.picture.image": 30}


@pytest.mark.parametrize(("key", "most"), MOST.items())
def test_more_than_the_images_allow_is_told(key: str, most: int) -> None:
    assert [line for line in told(**{key: most}) if line.startswith(key)] == []
    (line,) = told(**{key: most + 1})
    assert line.startswith(f"{key} is {most + 1}, but should be at most {most}: ")


@pytest.mark.parametrize(
    ("labels", "edits", "line"),
    [
        (LABELS, {"data__classes": ["a", "b"]}, "data.classes has 2 names, but should have 3: one"),
        (LABELS, {"binary__target": 5}, "binary.target is 5, but should be of the classes 9, 20, "),
        (LABELS, {"errors__pair": [9, 3]}, "errors.pair is [9, 3], but should be of the classes 9"),
        (LABELS, {"split__n_train": 34}, "split.n_train is 34, but should be less than the 34 ima"),
        ([], {}, "split.n_train is 31, but should be less than the 0 images"),
        ([9] * 33, {}, "there are 1 classes to train on, but should be 2 to 47"),
        (range(96), {"split__n_train": 48}, "there are 48 classes to train on, but should be 2 to"),
        ([9, 20, 255] * 11 + [7], {}, "no training image has the class 7, which a test image has"),
    ],
)
def test_what_cannot_be_learned_is_told(labels: Any, edits: dict[str, Any], line: str) -> None:
    assert [each for each in told(labels, **edits) if each.startswith(line)]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[1m", "x" * 31, "\udcff"])
def test_a_name_that_cannot_be_shown_is_told(name: str) -> None:
    (line,) = told(source=["a", name, "M" * 30])
    assert line.startswith(f"a class has the name {name!a}, but should have one of 1 to 30 ch")
    assert told(data__classes=["a", "b", name], source=[name]) == [line]
    assert told(data__classes=["a", "b", "M" * 30], source=[name]) == []


def test_the_split_is_the_sources_own() -> None:
    for n in (26, 28, 33):
        # Of the split that is not to be, no more is told.
        (line,) = told(n_train=27, split__n_train=n)
        assert line.startswith(f"split.n_train is {n}, but should be 27, the number of the source")


def test_all_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        run_stage(tmp_path, LABELS, [], split__n_train=30, errors__pair=[9, 20])
    # It ends the stage before it writes.
    assert not (tmp_path / "checked").exists()
    lines = str(error.value).splitlines()
    assert [line.split(" is ")[0] for line in lines] == [
        f"{tmp_path / 'params.yaml'}: {key}"
        for key in ("binary.target", "neighbors.k", "augment.picture.image")
    ]


@pytest.mark.parametrize(
    ("labels", "source", "classes", "noun", "expected"),
    [
        ([1, 3], [], "auto", "digit", ["1", "3"]),
        ([9, 20], [], "auto", "image", ["9", "20"]),
        ([9, 20], [], ["8", "3"], "digit", ["8", "3"]),
        ([0, 1], [], ["cat", "Hund, ä"], "image", ["cat", "Hund, ä"]),
        ([1, 3], ["a", "b", "c", "d"], "auto", "image", ["b", "d"]),
        ([1, 3], ["a", "b", "c", "d"], ["B", "D"], "image", ["B", "D"]),
    ],
)
def test_names_are_ours_or_the_sources_or_the_labels(
    tmp_path: Path, labels: Any, source: Any, classes: Any, noun: str, expected: list[str]
) -> None:
    edits = {"data__classes": classes, "split__n_train": 100, "augment__picture__image": 0}
    edits |= {"binary__target": labels[1], "errors__pair": labels}
    found = run_stage(tmp_path, labels * 60, source, **edits)
    names = dict(zip(map(str, labels), expected, strict=True))
    assert found == {"noun": noun, "names": names}


@pytest.mark.parametrize("shift", [(1, 0), (-1, 0), (0, 1), (0, -1), (5, -3), (-27, 27), (0, 0)])
def test_a_shift_is_scipys(digits: Mnist, shift: tuple[int, int]) -> None:
    right, down = shift
    images = digits[0][:50]
    expected = [
        ndimage.shift(image, [down, right], cval=0, mode="constant", order=0) for image in images
    ]
    np.testing.assert_array_equal(shifted(images, right, down), expected)


def test_augmented_set_has_every_copy_once_with_its_label(digits: Mnist) -> None:
    images, labels = digits[0][:300], digits[1][:300]
    shifts = [(1, 0), (0, -2)]
    new_images, new_labels = augment(images, labels, shifts, seed=7)
    assert new_images.shape == (900, 28, 28)
    expected = [
        (shifted(images[i : i + 1], right, down).tobytes(), labels[i])
        for right, down in [(0, 0), *shifts]
        for i in range(300)
    ]
    found = [(image.tobytes(), label) for image, label in zip(new_images, new_labels, strict=True)]
    assert sorted(found) == sorted(expected)
    # In an order that depends on the seed alone.
    again, other = (augment(images, labels, shifts, seed)[1] for seed in (7, 8))
    np.testing.assert_array_equal(new_labels, again)
    assert (new_labels != other).any()
    assert (new_labels != np.tile(labels, 3)).any()


def test_a_sheet_reads_like_text() -> None:
    images = np.arange(3, dtype=np.uint8).repeat(4).reshape(3, 2, 2)
    np.testing.assert_array_equal(
        sheet(images, 2), [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 0, 0], [2, 2, 0, 0]]
    )


def test_a_figure_is_ink_on_paper_and_the_same_bytes(tmp_path: Path, digits: Mnist) -> None:
    paths, sizes = (tmp_path / "a.png", tmp_path / "b.png"), []
    # Of two lines, the second.
    for title in (r"$\frac$", "a title of two lines, for a class with a long name"):
        for path in paths:
            save_panels(path, [digits[0][0], digits[0][1]], ["one", title], 2, 3)
        assert paths[0].read_bytes() == paths[1].read_bytes()
        pixels = np.asarray(Image.open(paths[0]).convert("L"))
        sizes.append(pixels.shape)
        assert pixels.min() < 20
        # No title reaches the border.
        assert {*pixels[:, 0], *pixels[:, -1], *pixels[0]} == {255}
    assert sizes[0][1] == sizes[1][1]
    assert sizes[0][0] < sizes[1][0]


@pytest.mark.parametrize(
    "name",
    ["T-shirt/top", "Ankle boot", "M" * 30, "a longer name of 30 letters_", "Mütze", "шапка"],
)
def test_a_matrix_of_pictures_has_equal_tiles_and_names_keep_to_theirs(
    tmp_path: Path, name: str
) -> None:
    cells = np.random.RandomState(0).randint(0, 256, (3, 3, 84, 84)).astype(np.uint8)
    save_matrix(tmp_path / "new" / "matrix.png", cells, np.array([name, "30", "b"]), "corner")
    picture = 255 - np.asarray(Image.open(tmp_path / "new" / "matrix.png"))
    side = len(picture) // 4
    tiles = picture.reshape(4, side, 4, side).swapaxes(1, 2)
    frame = (side - 84) // 2
    np.testing.assert_array_equal(tiles[1:, 1:, frame:-frame, frame:-frame], cells)
    for heading in (*tiles[0], *tiles[1:, 0]):
        assert heading.any()
        assert not heading[:, [0, -1]].any()
        assert not heading[[0, -1]].any()
