"""Other classes than the ten digits: stages take them from the labels, and call them by name."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import escape
from numpy.typing import NDArray
from playwright.sync_api import Browser, expect

from stages.common.arrays import load, load_group
from stages.data.sources import Mnist
from stages.report.results import table, tree
from tests.pipeline.test_pages import NARROW, assert_answers_as_python, open_page
from tests.support.clone import Clone
from tests.support.dag import run_stages
from tests.support.idx import write_idx

# For each digit, in their order.
OTHER_NUMBERS = np.array([2, 3, 17, 40, 100, 128, 199, 200, 254, 255], np.uint8)
KINDS = ("other numbers, a rare one", "two, sorted", "47")


def some(digits: Mnist, kind: str) -> tuple[NDArray, NDArray]:
    """Images and labels of several kinds: what other data may be like."""
    images, labels = (array[:1000] for array in digits)
    if kind == "two, sorted":
        chosen = np.flatnonzero(np.isin(labels, [3, 5]))
        n_train = len(chosen) * 4 // 5
        by_class = np.argsort(labels[chosen[:n_train]], kind="stable")
        chosen = np.concatenate([chosen[by_class], chosen[n_train:]])
    elif kind == "47":
        labels = (5 * labels + images.sum(axis=(1, 2)) % 5).astype(np.uint8)
        chosen = np.flatnonzero(labels < 47)
    else:
        rare = np.flatnonzero(labels == 7)[6:]
        chosen = np.setdiff1d(np.arange(len(labels)), rare)
        labels = OTHER_NUMBERS[labels]
    return images[chosen], labels[chosen]


# As long as a name may be, and what no page may take for its own.
NAMES = [f'{n}  class $\\frac$ <b>&"q"</b>{"x" * 10}'[:30] for n in range(47)]


@pytest.fixture(scope="module")
def folders(
    clone: Clone, digits: Mnist, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """By each kind of data, a folder in which all stages have run; 80 % of the images train."""
    made = {}
    for kind in KINDS:
        images, labels = some(digits, kind)
        made[kind] = folder = tmp_path_factory.mktemp("classes")
        n_train = len(images) * 4 // 5
        clone.copy_stages(folder)
        parts = [part for array in (images, labels) for part in np.split(array, [n_train])]
        write_idx(folder / "data" / "idx", parts)
        values: dict[str, Any] = {"data__source": "folder", "split__n_train": n_train}
        values |= {"grid__n_folds": 3, "neighbors__k": 20}
        values |= {"augment__picture": {"image": 0, "pixels": 5}}
        if kind == KINDS[0]:
            pair = OTHER_NUMBERS[[3, 5]].tolist()
            values |= {"binary__target": pair[1], "errors__pair": pair}
        Clone(folder).edit(**values, data__classes=NAMES if kind == "47" else "auto")
    run_stages(*made.values())
    return made


def test_the_page_has_room_for_long_names(browser: Browser, folders: dict[str, Path]) -> None:
    page, said = open_page(browser, folders["47"] / "reports" / "index.html", NARROW)
    page.locator("#paper").scroll_into_view_if_needed()
    expect(page.locator("#differ")).to_contain_text("They ")
    shown = page.inner_text("#svm-says").removeprefix("SVM says: ")
    assert shown in [" ".join(name.split()) for name in NAMES]
    # Of a threshold that no detector reaches.
    assert [line for line in said if "Infinite extent" not in line] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Of digits, only the notebook's figures speak.
    assert "digit" not in page.inner_text("main").rpartition("Beside the notebook")[0].lower()
    assert page.locator("select[name=actual] option").all_inner_texts() == NAMES
    for chart in ("confusion", "errors"):
        drawn = page.locator(f"[data-chart={chart}]")
        n_cells = len(NAMES) ** 2 - (chart == "errors") * len(NAMES)
        assert drawn.locator(".mark-rect path[aria-label]").count() == n_cells
        axes = drawn.locator(".role-axis").filter(has_text="class").all()
        assert len(axes) == 2
        for axis in axes:
            labels = axis.locator(".role-axis-label text")
            # All of them, whole, in their order.
            assert labels.all_text_contents() == NAMES
            assert labels.filter(visible=True).count() == len(NAMES)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_page_and_python_give_the_same_answers(
    browser: Browser, folders: dict[str, Path], kind: str
) -> None:
    assert_answers_as_python(browser, folders[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_right_whatever_the_classes(
    digits: Mnist, folders: dict[str, Path], kind: str
) -> None:
    folder, (_, labels) = folders[kind], some(digits, kind)
    train, test = np.split(labels, [len(labels) * 4 // 5])
    metrics = tree(folder / "data" / "metrics")
    known, reports = np.unique(train), metrics["digits"]
    names = NAMES if kind == "47" else list(map(str, known))
    # Each accuracy and recall, from what the models said.
    for model in ("sgd", "svc", "ovr_svc", "knn", "knn_augmented", "strokes"):
        said = load_group(folder / f"data/models/digits/{model}/predictions.npz")["predictions"]
        assert set(said) <= set(known)
        right = {label: np.mean(said[test == label] == label) for label in np.unique(test)}
        recall = {int(label): share for label, share in reports[model]["test_recall"].items()}
        assert recall == pytest.approx(right, abs=1e-9)
        accuracy = np.mean(said == test)
        assert reports[model]["test_accuracy"] == pytest.approx(accuracy, abs=1e-9)
        # Far above a guess.
        assert accuracy > 1.5 / len(known)
        first = reports[model].get("first_digit", {f"score_{label}": 0 for label in known})
        assert [key for key in first if key != "prediction"] == [f"score_{i}" for i in known]
    assert metrics["grid"]["best"]["accuracy"] > 1.5 / len(known)
    target = 128 if kind == KINDS[0] else 5
    np.testing.assert_array_equal(load(folder / "data/is_target/train.npy"), train == target)
    said = load_group(folder / "data/models/binary/forest/predictions.npz")["predictions"]
    accuracy = np.mean(said == (test == target))
    assert metrics["binary"]["forest"]["test_accuracy"] == pytest.approx(accuracy, abs=1e-9)
    # Each fold of the out-of-fold scores, against the confusion matrix.
    _, *cells = table(folder / "reports" / "plots" / "confusion.csv")
    *actual_and_predicted, shown = zip(*cells, strict=True)
    assert list(zip(*actual_and_predicted, strict=True)) == list(product(names, names))
    counts = np.array(shown, int).reshape(len(known), -1)
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(train)[known])
    folds = load_group(folder / "data/models/digits/sgd_scaled/out_of_fold.npz")["folds"]
    shares = reports["sgd_scaled"]["accuracy"]
    right = sum(shares[f"fold_{i + 1}"] * np.sum(folds == i) for i in range(3))
    assert np.trace(counts) == pytest.approx(right, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_page_and_card_speak_of_these_classes(folders: dict[str, Path], kind: str) -> None:
    folder, named = folders[kind], kind == "47"
    reports = tree(folder / "data" / "metrics")["digits"]
    page, card = (
        (folder / "reports" / name).read_text(encoding="utf-8")
        for name in ("index.html", "model_card.md")
    )
    classes = len(reports["svc"]["first_digit"]) - 1
    assert f"tell {classes} {'classes' if named else 'digits'} apart" in page
    assert (f"is “{escape(NAMES[5])}”" if named else "is a 5") in page
    # The page says which classifiers are better than the one that it holds.
    strokes = load_group(folder / "data/models/digits/strokes/predictions.npz")
    test = load(folder / "data" / "test" / "labels.npy")
    right = np.mean(strokes["alone"] == test)
    of_svm = page.rpartition("it is right for <strong>")[2].partition("</p>")[0]
    assert of_svm.startswith(f"{100 * right:.2f}\N{NO-BREAK SPACE}%")
    for model, name in {"strokes": "opinion", "svc": "the SVC", "ovr_svc": "rest SVC"}.items():
        better = reports[model]["test_accuracy"] > round(right, 10)
        assert (f"{name} (" in of_svm or f"{name}, " in of_svm) == better
    assert f"| which of {classes} classes |" in card
    assert "The data are **not MNIST**, but other images (`data.source: folder`)" in card
    assert "LeCun" not in card
