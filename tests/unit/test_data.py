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
from stages.data.gallery import class_counts
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
# It says no more of them.
SOURCE: dict[str, Any] = {"classes": [], "n_train": None}


def run_stage(folder: Path, labels: Any, source: dict[str, Any], **edits: Any) -> Any:
    """What check_data writes of the classes, with params.yaml edited."""
    shutil.copy(ROOT / "params.yaml", folder)
    Clone(folder, folder).edit(**edits)
    save_set(folder, *[np.asarray(labels, np.uint8)] * 2)
    (folder / "source.json").write_text(json.dumps(source))
    outs = folder / "checked", folder / "classes.json"
    try:
        check_data.main(folder / "params.yaml", folder, *outs)
    except UserError:
        # A mistake ends the stage before it writes.
        assert not any(path.exists() for path in outs)
        raise
    assert outs[0].exists()
    return json.loads(outs[1].read_text())


@pytest.mark.parametrize("n_classes", [2, 47])
def test_data_that_fit_have_no_mistakes(n_classes: int) -> None:
    assert list(check_data.mistakes(PARAMS, LABELS, SOURCE)) == []
    labels = np.tile(np.arange(n_classes, dtype=np.uint8), 11)
    params = PARAMS | {"split.n_train": 10 * n_classes, "neighbors.k": 5}
    params |= {"binary.target": 0, "errors.pair": [0, 1], "augment.picture.image": 0}
    params |= {"denoise.n_neighbors": 5}
    assert list(check_data.mistakes(params, labels, SOURCE)) == []


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("split.n_train", 33, "split.n_train is 33, but should be less than the 33 images"),
        ("data.classes", ["a", "b"], "data.classes has 2 names, but should have 3: one for each"),
        ("binary.target", 5, "binary.target is 5, but should be of the classes 9, 20, 255"),
        ("errors.pair", [9, 3], "errors.pair is [9, 3], but should be of the classes 9, 20, 255"),
        ("cross_validate.n_folds", 11, "cross_validate.n_folds is 11, but should be at most 10"),
        ("grid.n_folds", 11, "grid.n_folds is 11, but should be at most 10: there are no more"),
        ("multilabel.n_folds", 31, "multilabel.n_folds is 31, but should be at most 30"),
        ("neighbors.k", 16, "neighbors.k is 16, but should be at most 15"),
        ("denoise.n_neighbors", 31, "denoise.n_neighbors is 31, but should be at most 30"),
        ("augment.picture.image", 30, "augment.picture.image is 30, but should be at most 29"),
    ],
)
def test_what_the_data_cannot_serve_is_told(key: str, value: Any, line: str) -> None:
    (told,) = check_data.mistakes(PARAMS | {key: value}, LABELS, SOURCE)
    assert told.startswith(line)


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ([], "split.n_train is 30, but should be less than the 0 images"),
        ([9] * 33, "there are 1 classes to train on, but should be 2 to 47"),
        (range(96), "there are 48 classes to train on, but should be 2 to 47"),
        ([9, 20, 255] * 10 + [7], "no training image has the class 7, which a test image has"),
        # One image a class, of 9 and 20 that the others ask for.
        (range(33), "cross_validate.n_folds is 3, but should be at most 1"),
    ],
)
def test_labels_that_cannot_be_learned_are_told(labels: Any, line: str) -> None:
    params = PARAMS | {"split.n_train": 48 if len(labels) == 96 else 30}
    told = list(check_data.mistakes(params, np.array(labels, np.uint8), SOURCE))
    assert any(each.startswith(line) for each in told), told


def test_all_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        run_stage(tmp_path, LABELS, SOURCE, split__n_train=30, errors__pair=[9, 20])
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
        params = PARAMS | {"split.n_train": len(y)}
        params |= {"grid.n_folds": n_folds, "multilabel.n_folds": others}
        cuts = fold_numbers(StratifiedKFold(n_folds), y), fold_numbers(KFold(others), y)
        outside = len(y) - max(np.bincount(folds).max() for folds in cuts)
        for k, is_told in ((outside, False), (outside + 1, True)):
            told = check_data.mistakes(params | {"neighbors.k": k}, np.append(y, y[0]), SOURCE)
            assert any(line.startswith("neighbors.k") for line in told) == is_told


def test_the_split_is_the_sources_own() -> None:
    for n_train in (26, 28, 33):
        params = PARAMS | {"split.n_train": n_train}
        # Of the split that is not to be, no more is told.
        (told,) = check_data.mistakes(params, LABELS, SOURCE | {"n_train": 27})
        assert told.startswith(f"split.n_train is {n_train}, but should be 27, the number of the")
    assert list(check_data.mistakes(PARAMS, LABELS, SOURCE | {"n_train": 30})) == []


@pytest.mark.parametrize(
    ("labels", "names", "noun", "expected"),
    [
        ([1, 0, 1], [], "digit", {"0": "0", "1": "1"}),
        ([9, 20], [], "image", {"9": "9", "20": "20"}),
        ([9, 20], ["8", "3"], "digit", {"9": "8", "20": "3"}),
        ([0, 1], ["cat", "Hund, ä"], "image", {"0": "cat", "1": "Hund, ä"}),
    ],
)
def test_a_class_is_called_by_its_name(
    labels: list[int], names: list[str], noun: str, expected: dict[str, str]
) -> None:
    found = check_data.named(np.array(labels, np.uint8), names)
    assert found == {"noun": noun, "names": expected}


@pytest.mark.parametrize(
    ("source", "classes", "expected"),
    [
        (["a", "b", "c", "d"], "auto", {"1": "b", "3": "d"}),
        (["a", "b", "c", "d"], ["B", "D"], {"1": "B", "3": "D"}),
        ([], "auto", {"1": "1", "3": "3"}),
    ],
)
def test_names_are_the_sources_or_ours(
    tmp_path: Path, source: Any, classes: Any, expected: Any
) -> None:
    edits = {"data__classes": classes, "split__n_train": 100, "augment__picture__image": 0}
    edits |= {"binary__target": 1, "errors__pair": [1, 3]}
    told = {"classes": source, "n_train": None}
    found = run_stage(tmp_path, [1, 3] * 60, told, **edits)
    assert found == {"noun": "digit" if not source else "image", "names": expected}


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
    assert found != expected


def test_augmented_set_depends_on_the_seed_alone(digits: Mnist) -> None:
    images, labels = digits[0][:100], digits[1][:100]
    first, again, other = (augment(images, labels, [(1, 0)], seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_class_counts_are_of_the_classes_there_are() -> None:
    names = {"0": "zero", "1": "one", "255": "many"}
    counts = class_counts(np.array([1, 1, 255], np.uint8), np.array([0], np.uint8), names)
    assert counts == {
        "digit": ["zero", "one", "many"],
        "train": [0, 2, 1],
        "test": [1, 0, 0],
    }


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


def test_as_many_folds_as_the_rarest_class_has_images_are_enough() -> None:
    """And not one more: scikit-learn would leave a fold without the class, and only warn."""
    labels = np.array([9] * 10 + [255] * 4 + [20] * 16 + [9], np.uint8)
    for key in ("cross_validate.n_folds", "grid.n_folds"):
        for n_folds, n_told in ((4, 0), (5, 1)):
            found = check_data.mistakes(PARAMS | {"grid.n_folds": 3, key: n_folds}, labels, SOURCE)
            told = [line for line in found if line.startswith(key)]
            assert len(told) == n_told
            assert all(
                line.endswith("at most 4: there are no more training images of class 255")
                for line in told
            )
