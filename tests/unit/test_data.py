"""Splitting, augmenting, and the pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from stages.common.errors import UserError
from stages.data.augment import augment, shifted
from stages.data.gallery import class_counts
from stages.data.sources import Mnist
from stages.data.split import check_sizes
from stages.evaluate.analyse_errors import long_form, panel
from stages.output.pictures import save_matrix, save_panels, sheet


def test_both_sets_have_an_image() -> None:
    check_sizes(70000, 69999)
    with pytest.raises(UserError, match=r"split\.n_train is 60000.*5,000 images"):
        check_sizes(5000, 60000)


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


def test_class_counts_count_missing_digits_too() -> None:
    counts = class_counts(np.array([1, 1, 9], np.uint8), np.array([0], np.uint8))
    assert counts["train"].tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert counts["test"].tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]


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
        save_panels(path, [digits[0][0], digits[0][1]], ["one", "two"], 2, 2)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    pixels = np.asarray(Image.open(paths[0]).convert("L"))
    assert pixels[0, 0] == 255
    assert pixels.min() < 20


def test_a_matrix_of_pictures_has_equal_tiles(tmp_path: Path) -> None:
    cells = np.random.RandomState(0).randint(0, 256, (3, 3, 8, 8)).astype(np.uint8)
    save_matrix(tmp_path / "new" / "matrix.png", cells, "corner")
    picture = 255 - np.asarray(Image.open(tmp_path / "new" / "matrix.png"))
    side, rest = divmod(len(picture), 4)
    assert picture.shape == (4 * side, 4 * side)
    assert rest == 0
    frame = (side - 8) // 2
    for actual, predicted in np.ndindex(3, 3):
        tile = picture[(actual + 1) * side :, (predicted + 1) * side :][:side, :side]
        np.testing.assert_array_equal(tile[frame:-frame, frame:-frame], cells[actual, predicted])
    # Each heading is drawn.
    for i in range(4):
        assert picture[:side, i * side : (i + 1) * side].any()
        assert picture[i * side : (i + 1) * side, :side].any()


def test_long_form_of_a_confusion_matrix() -> None:
    matrix = np.arange(100).reshape(10, 10)
    whole = long_form(matrix, "count", diagonal=True)
    assert len(whole["count"]) == 100
    errors = long_form(matrix, "count", diagonal=False)
    assert len(errors["count"]) == 90
    for columns in (whole, errors):
        np.testing.assert_array_equal(
            columns["count"], 10 * columns["actual"] + columns["predicted"]
        )
    assert (errors["actual"] != errors["predicted"]).all()
