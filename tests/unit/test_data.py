"""Splitting, augmenting, and the pictures."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from sklearn.model_selection import KFold, StratifiedKFold

from stages.common.arrays import save_set
from stages.common.errors import UserError
from stages.common.folds import fold_numbers
from stages.data import check_data
from stages.data.augment import augment, shifted
from stages.data.sources import Mnist
from stages.evaluate.analyse_errors import long_form, panel
from stages.output.pictures import save_matrix, save_panels, sheet
from tests.support import ROOT
from tests.support.clone import Clone

PARAMS: dict[str, Any] = {
    "data.classes": "auto",
    "split.n_train": 30,
    "binary.target": 9,
    "errors.pair": [9, 20],
    "cross_validate.n_folds": 3,
    "grid.n_folds": 5,
    "multilabel.n_folds": 2,
    "neighbors.k": 15,
    "denoise.n_neighbors": 30,
    "augment.picture.image": 29,
}
# 30 training images, 10 of each of three classes, and 3 test images.
LABELS = np.array([9, 20, 255] * 11, np.uint8)


def run_stage(folder: Path, labels: Any, classes: list[str], **edits: Any) -> Any:
    """What check_data writes of the classes that the source names, with params.yaml edited."""
    shutil.copy(ROOT / "params.yaml", folder)
    Clone(folder).edit(**edits)
    save_set(folder, *[np.asarray(labels, np.uint8)] * 2)
    (folder / "source.json").write_text(json.dumps({"classes": classes, "n_train": None}))
    outs = folder / "checked", folder / "classes.json"
    try:
        check_data.main(folder / "params.yaml", folder, *outs)
    except UserError:
        # A mistake ends the stage before it writes.
        assert not any(path.exists() for path in outs)
        raise
    assert outs[0].exists()
    return json.loads(outs[1].read_text())


def told(labels: Any = LABELS, n_train: int | None = None, **edits: Any) -> list[str]:
    """The mistakes where parameters have other values, a dot in their names written as __."""
    params = PARAMS | {name.replace("__", "."): value for name, value in edits.items()}
    source: dict[str, Any] = {"classes": [], "n_train": n_train}
    return list(check_data.mistakes(params.__getitem__, np.array(labels, np.uint8), source))


def test_data_that_fit_have_no_mistakes() -> None:
    assert told() == told(n_train=30) == []
    few: dict[str, Any] = {"binary__target": 0, "errors__pair": [0, 1], "denoise__n_neighbors": 5}
    few |= {"augment__picture__image": 0, "neighbors__k": 5}
    for n_classes in (2, 47):
        assert told([*range(n_classes)] * 11, split__n_train=10 * n_classes, **few) == []


MOST = {"cross_validate.n_folds": 10, "grid.n_folds": 10, "multilabel.n_folds": 30}
MOST |= {"neighbors.k": 15, "denoise.n_neighbors": 30, "augment.picture.image": 29}


@pytest.mark.parametrize(("key", "most"), MOST.items())
def test_more_than_the_images_allow_is_told(key: str, most: int) -> None:
    assert [line for line in told(**{key: most}) if line.startswith(key)] == []
    (line,) = told(**{key: most + 1})
    assert line.startswith(f"{key} is {most + 1}, but should be at most {most}: ")


# More folds than the rarest class has images: scikit-learn would leave a fold without it, and warn.
RARE = [9] * 13 + [255] * 2 + [20] * 15 + [9]


@pytest.mark.parametrize(
    ("labels", "edits", "line"),
    [
        (LABELS, {"data__classes": ["a", "b"]}, "data.classes has 2 names, but should have 3: one"),
        (LABELS, {"binary__target": 5}, "binary.target is 5, but should be of the classes 9, 20, "),
        (LABELS, {"errors__pair": [9, 3]}, "errors.pair is [9, 3], but should be of the classes 9"),
        (LABELS, {"split__n_train": 33}, "split.n_train is 33, but should be less than the 33 ima"),
        ([], {}, "split.n_train is 30, but should be less than the 0 images"),
        ([9] * 33, {}, "there are 1 classes to train on, but should be 2 to 47"),
        (range(96), {"split__n_train": 48}, "there are 48 classes to train on, but should be 2 to"),
        ([9, 20, 255] * 10 + [7], {}, "no training image has the class 7, which a test image has"),
        (
            RARE,
            {},
            "grid.n_folds is 5, but should be at most 2: there are no more training images ",
        ),
        (
            RARE,
            {},
            "cross_validate.n_folds is 3, but should be at most 2: there are no more traini",
        ),
    ],
)
def test_what_cannot_be_learned_is_told(labels: Any, edits: dict[str, Any], line: str) -> None:
    assert [each for each in told(labels, **edits) if each.startswith(line)]


def test_the_split_is_the_sources_own() -> None:
    for n in (26, 28, 33):
        # Of the split that is not to be, no more is told.
        (line,) = told(n_train=27, split__n_train=n)
        assert line.startswith(
            f"split.n_train is {n}, but should be 27, the number of the source's"
        )


def test_all_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        run_stage(tmp_path, LABELS, [], split__n_train=30, errors__pair=[9, 20])
    lines = str(error.value).splitlines()
    assert [line.split(" is ")[0] for line in lines] == [
        f"{tmp_path / 'params.yaml'}: {key}"
        for key in ("binary.target", "neighbors.k", "augment.picture.image")
    ]


def test_k_is_at_most_the_images_outside_of_the_largest_fold() -> None:
    random = np.random.RandomState(0)
    for _ in range(100):
        n_folds, others = random.randint(2, 7, size=2)
        y = np.repeat(np.arange(4), random.randint(n_folds, 12, size=4)).astype(np.uint8)
        edits = {"split__n_train": len(y), "grid__n_folds": n_folds, "multilabel__n_folds": others}
        cuts = fold_numbers(StratifiedKFold(n_folds), y), fold_numbers(KFold(others), y)
        outside = len(y) - max(np.bincount(folds).max() for folds in cuts)
        for k, is_told in ((outside, False), (outside + 1, True)):
            lines = told(np.append(y, y[0]), neighbors__k=k, **edits)
            assert any(line.startswith("neighbors.k") for line in lines) == is_told


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


def test_a_panel_has_the_first_chosen_and_then_blanks() -> None:
    images = np.arange(1, 5, dtype=np.uint8).reshape(4, 1, 1)
    chosen = np.array([False, True, False, True])
    np.testing.assert_array_equal(panel(images, chosen, 3, 2), [[2, 4], [0, 0]])
    np.testing.assert_array_equal(panel(images, chosen, 1, 1), [[2]])


def test_a_figure_is_ink_on_paper_and_the_same_bytes(tmp_path: Path, digits: Mnist) -> None:
    paths = tmp_path / "a.png", tmp_path / "b.png"
    for path in paths:
        save_panels(path, [digits[0][0], digits[0][1]], ["one", r"$\frac$"], 2, 2)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    pixels = np.asarray(Image.open(paths[0]).convert("L"))
    assert pixels[0, 0] == 255
    assert pixels.min() < 20


def test_a_matrix_of_pictures_has_equal_tiles(tmp_path: Path) -> None:
    cells = np.random.RandomState(0).randint(0, 256, (3, 3, 60, 60)).astype(np.uint8)
    save_matrix(tmp_path / "new" / "matrix.png", cells, np.array([1, 30, 255]), "corner")
    picture = 255 - np.asarray(Image.open(tmp_path / "new" / "matrix.png"))
    side, rest = divmod(len(picture), 4)
    assert picture.shape == (4 * side, 4 * side)
    assert rest == 0
    frame = (side - 60) // 2
    for actual, predicted in np.ndindex(3, 3):
        tile = picture[(actual + 1) * side :, (predicted + 1) * side :][:side, :side]
        np.testing.assert_array_equal(tile[frame:-frame, frame:-frame], cells[actual, predicted])
    # Each heading is drawn.
    for i in range(4):
        assert picture[:side, i * side : (i + 1) * side].any()
        assert picture[i * side : (i + 1) * side, :side].any()


@pytest.mark.parametrize(
    "name",
    ["T-shirt/top", "Ankle boot", "M" * 30, "a longer name of 30 letters_", "Mütze", "шапка"],
)
def test_a_name_keeps_to_its_tile(tmp_path: Path, name: str) -> None:
    cells = np.zeros((2, 2, 84, 84), np.uint8)
    save_matrix(tmp_path / "matrix.png", cells, np.array([name, "b"]), "")
    picture = 255 - np.asarray(Image.open(tmp_path / "matrix.png")).astype(int)
    side = len(picture) // 3
    ink = picture[:side, side : 2 * side]
    assert ink.any()
    # Nothing of it reaches the border of its tile.
    assert not ink[:, [0, -1]].any()
    assert not ink[[0, -1]].any()


def test_a_long_title_is_broken(tmp_path: Path) -> None:
    sizes = []
    for title in ("short", "a title of two lines, for " + "a class with a long name"):
        save_panels(tmp_path / "panels.png", [np.zeros((28, 28), np.uint8)], [title], 1, 3)
        with Image.open(tmp_path / "panels.png") as picture:
            sizes.append(picture.size)
            ink = np.asarray(picture.convert("L")) < 128
        assert not ink[:, [0, -1]].any()
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][1] < sizes[1][1]


def test_long_form_of_a_confusion_matrix() -> None:
    classes = np.array([1, 7, 30, 255], np.uint8)
    matrix = np.add.outer(1000 * classes.astype(int), classes)
    whole = long_form(matrix, classes, "count", diagonal=True)
    assert len(whole["count"]) == 16
    errors = long_form(matrix, classes, "count", diagonal=False)
    assert len(errors["count"]) == 12
    for columns in (whole, errors):
        expected = 1000 * columns["actual"].astype(int) + columns["predicted"]
        np.testing.assert_array_equal(columns["count"], expected)
    assert (errors["actual"] != errors["predicted"]).all()
