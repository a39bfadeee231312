"""Other classes than the ten digits: stages take them from the labels, and call them by name."""

import csv
import json
import re
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from markupsafe import escape
from numpy.typing import NDArray
from playwright.sync_api import Browser, expect

from stages.data.sources import Mnist
from tests.pipeline.test_pages import NARROW, WIDE, Opened, assert_answers_as_python
from tests.support.clone import Clone, yaml
from tests.support.dag import run_stages
from tests.support.idx import write_idx

# For each digit, in their order.
OTHER_NUMBERS = np.array([2, 3, 17, 40, 100, 128, 199, 200, 254, 255], np.uint8)


def parts(images: NDArray, labels: NDArray, n_train: int) -> list[NDArray]:
    """The arrays of the four IDX files."""
    return [part for array in (images, labels) for part in (array[:n_train], array[n_train:])]


def metrics(folder: Path) -> dict[str, Any]:
    """All metrics by their file, without those of the data and of the two labels a digit."""
    top = folder / "data" / "metrics"
    paths = {str(path.relative_to(top)): path for path in sorted(top.rglob("*.json"))}
    assert len(paths) > 10
    others = {"data.json", "multilabel.json"}
    return {
        name: json.loads(path.read_text()) for name, path in paths.items() if name not in others
    }


def columns(folder: Path, plot: str) -> dict[str, list[str]]:
    """The columns of a plot's CSV file."""
    with (folder / "reports" / "plots" / f"{plot}.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    return dict(zip(header, map(list, zip(*lines, strict=True)), strict=True))


def renumbered(report: dict[str, Any]) -> dict[str, Any]:
    """A report of a model with the digits in it as :data:`OTHER_NUMBERS`."""
    if recall := report.get("test_recall"):
        recall = {str(OTHER_NUMBERS[int(digit)]): share for digit, share in recall.items()}
        report = report | {"test_recall": recall}
    if "prediction" not in report.get("first_digit", {}):
        return report
    first = report["first_digit"]
    scores = {f"score_{new}": first[f"score_{old}"] for old, new in enumerate(OTHER_NUMBERS)}
    prediction = int(OTHER_NUMBERS[first["prediction"]])
    return report | {"first_digit": {"prediction": prediction, **scores}}


KINDS = ("digits", "other numbers", "two, sorted", "no 0, a rare 7", "47")


def some(digits: Mnist, kind: str) -> tuple[NDArray, NDArray]:
    """Images and labels of several kinds: what other data may be like."""
    images, labels = (array[:1000] for array in digits)
    if kind == "other numbers":
        return images, OTHER_NUMBERS[labels]
    chosen = np.arange(len(labels))
    if kind == "two, sorted":
        chosen = np.flatnonzero(np.isin(labels, [3, 5]))
        n_train = len(chosen) * 4 // 5
        by_class = np.argsort(labels[chosen[:n_train]], kind="stable")
        chosen = np.concatenate([chosen[by_class], chosen[n_train:]])
    elif kind == "no 0, a rare 7":
        rare = np.flatnonzero(labels == 7)[6:]
        chosen = np.setdiff1d(np.flatnonzero(labels > 0), rare)
    elif kind == "47":
        labels = (5 * labels + images.sum(axis=(1, 2)) % 5).astype(np.uint8)
        chosen = np.flatnonzero(labels < 47)
    return images[chosen], labels[chosen]


# As long as a name may be, and what no page may take for its own.
NAMES = [f'{n}  class $\\frac$ <b>&"q"</b>{"x" * 10}'[:30] for n in range(47)]


def assert_apart(boxes: list[Any]) -> None:
    """No two neighbours overlap."""
    for one, two in pairwise(boxes):
        beside = one["x"] + one["width"] <= two["x"] + 0.5
        below = one["y"] + one["height"] <= two["y"] + 0.5
        assert beside or below, (one, two)


class Ran(NamedTuple):
    """A folder in which every stage has run on these labels, whose classes may be named."""

    folder: Path
    labels: NDArray
    named: bool


@pytest.fixture(scope="module")
def all_ran(
    clone: Clone, digits: Mnist, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Ran]:
    """Each kind of data; the first 80 % of the images are for training."""
    ran = {}
    for kind in KINDS:
        images, labels = some(digits, kind)
        folder, n_train = tmp_path_factory.mktemp("classes"), len(images) * 4 // 5
        ran[kind] = Ran(folder, labels, kind == "47")
        clone.copy_stages(folder)
        write_idx(folder / "data" / "idx", parts(images, labels, n_train))
        values: dict[str, Any] = {"data__source": "folder", "split__n_train": n_train}
        values |= {"grid__n_folds": 3, "neighbors__k": 20}
        values |= {"augment__picture": {"image": 0, "pixels": 5}}
        if kind == "other numbers":
            pair = OTHER_NUMBERS[[3, 5]].tolist()
            values |= {"binary__target": pair[1], "errors__pair": pair}
        Clone(folder).edit(**values, data__classes=NAMES if kind == "47" else "auto")
    run_stages(*(one.folder for one in ran.values()))
    return ran


@pytest.fixture
def ran(all_ran: dict[str, Ran], request: pytest.FixtureRequest) -> Ran:
    return all_ran[request.param]


def test_other_numbers_for_the_same_digits_change_nothing_else(all_ran: dict[str, Ran]) -> None:
    digits, folder = all_ran["digits"].folder, all_ran["other numbers"].folder
    expected = {name: renumbered(report) for name, report in metrics(digits).items()}
    assert metrics(folder) == expected
    for plot, of_digits in {
        "class_counts": ["digit"],
        "confusion": ["actual", "predicted"],
        "errors": ["actual", "predicted"],
    }.items():
        of_plot = columns(digits, plot)
        for name in of_digits:
            of_plot[name] = [str(OTHER_NUMBERS[int(digit)]) for digit in of_plot[name]]
        assert columns(folder, plot) == of_plot


@pytest.mark.parametrize("ran", ["47"], indirect=True)
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_has_room_for_long_names(
    browser: Browser, ran: Ran, size: tuple[int, int]
) -> None:
    opened = Opened(browser, ran.folder / "reports" / "index.html", size, "light")
    opened.page.locator("#paper").scroll_into_view_if_needed()
    expect(opened.page.locator("#differ")).to_contain_text("They ")
    assert opened.text("#svm-says").removeprefix("SVM says: ") in map(
        " ".join, map(str.split, NAMES)
    )
    # Of a threshold that no detector reaches.
    assert [line for line in opened.said if "Infinite extent" not in line] == []
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Of digits, only the notebook's figures speak.
    assert "digit" not in opened.text("main").rpartition("Beside the notebook")[0].lower()
    assert opened.page.locator("select[name=actual] option").all_inner_texts() == NAMES
    for chart in ("confusion", "errors"):
        drawn = opened.page.locator(f"[data-chart={chart}]")
        n_cells = len(NAMES) ** 2 - (chart == "errors") * len(NAMES)
        assert drawn.locator(".mark-rect path[aria-label]").count() == n_cells
        axes = drawn.locator(".role-axis").filter(has_text="class").all()
        assert len(axes) == 2
        for axis in axes:
            labels = axis.locator(".role-axis-label text")
            # All of them, whole, in their order, and none upon another.
            assert labels.all_text_contents() == NAMES
            assert labels.filter(visible=True).count() == len(NAMES)
            assert_apart([label.bounding_box() or {} for label in labels.all()])


@pytest.mark.parametrize("ran", ["two, sorted", "47"], indirect=True)
def test_the_page_and_python_give_the_same_answers(browser: Browser, ran: Ran) -> None:
    assert_answers_as_python(browser, ran.folder)


@pytest.mark.parametrize("ran", KINDS[2:], indirect=True)
def test_figures_are_right_whatever_the_classes(ran: Ran) -> None:
    folder, labels, named = ran
    n_train = len(labels) * 4 // 5
    train, test = labels[:n_train], labels[n_train:]
    known, reports = np.unique(train), metrics(folder)
    names = NAMES if named else list(map(str, known))
    # Each accuracy, from what the models said.
    for model in ("sgd", "svc", "ovr_svc"):
        said = np.load(folder / f"data/models/digits/{model}/predictions.npz")
        assert set(said["predictions"]) <= set(known)
        right = np.mean(said["predictions"] == test)
        assert reports[f"digits/{model}.json"]["test_accuracy"] == pytest.approx(right, abs=1e-9)
        # Far above a guess.
        assert right > 1.5 / len(known)
        first = reports[f"digits/{model}.json"]["first_digit"]
        scores = {int(key.removeprefix("score_")): v for key, v in first.items() if "_" in key}
        assert sorted(scores) == known.tolist()
    # Each fold of the out-of-fold scores, against the confusion matrix.
    confusion = columns(folder, "confusion")
    cells = zip(confusion["actual"], confusion["predicted"], strict=True)
    assert list(cells) == list(product(names, names))
    counts = np.array(confusion["count"], int).reshape(len(known), -1)
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(train)[known])
    folds = np.load(folder / "data/models/digits/sgd_scaled/out_of_fold.npz")["folds"]
    accuracy = reports["digits/sgd_scaled.json"]["accuracy"]
    right = sum(accuracy[f"fold_{i + 1}"] * np.sum(folds == i) for i in range(3))
    assert np.trace(counts) == pytest.approx(right, abs=1e-4)
    params = yaml.load(folder / "params.yaml")
    page = (folder / "reports" / "index.html").read_text(encoding="utf-8")
    target = params["binary"]["target"]
    assert f"tell {len(known)} {'classes' if named else 'digits'} apart" in page
    assert (f"is “{escape(NAMES[target])}”" if named else f"is a {target}") in page
    # The page says which classifiers are better than the one that it holds.
    strokes = np.load(folder / "data/models/digits/strokes/predictions.npz")
    right = np.mean(strokes["alone"] == test)
    of_svm = page.rpartition("it is right for <strong>")[2].partition("</p>")[0]
    assert of_svm.startswith(f"{100 * right:.2f}\N{NO-BREAK SPACE}%")
    for model, name in {"strokes": "opinion", "svc": "the SVC", "ovr_svc": "rest SVC"}.items():
        better = reports[f"digits/{model}.json"]["test_accuracy"] > round(right, 10)
        assert (f"{name} (" in of_svm or f"{name}, " in of_svm) == better
    card = (folder / "reports" / "model_card.md").read_text(encoding="utf-8")
    assert f"which of {len(known)} classes" in card
    (commonest,) = re.findall(r"the commoner one is right for\s(\S+) of", card)
    is_target = np.mean(train == params["binary"]["target"])
    assert float(commonest) == pytest.approx(max(is_target, 1 - is_target), abs=5e-5)
    assert re.findall(r"\bnan\b|\{\{|\bNone\b", card) == []
    rows = re.findall(r"^\| (.+?) \| ([\d,]+) \| ([\d,]+) \| (\S+) \|", card, re.M)
    assert [re.sub(r"\\(.)", r"\1", name) for name, *_ in rows] == names
    said = np.load(folder / "data/models/digits/sgd/predictions.npz")["predictions"]
    for label, (_, *figures) in zip(known, rows, strict=True):
        asked = test == label
        recall = f"{np.mean(said[asked] == label):.4f}" if asked.any() else "none"
        assert figures == [str(np.sum(train == label)), str(np.sum(asked)), recall]


def test_an_experiment_elsewhere_takes_the_files_that_it_is_told(
    clone: Clone, digits: Mnist
) -> None:
    paths = write_idx(clone.folder / "data" / "idx", parts(*digits, 4000))
    command = "exp", "run", "--temp", "--set-param", "data.source=folder"
    try:
        failed = clone.dvc(*command, "fetch", check=False)
        assert failed.returncode != 0
        assert "need -C PATH for each file and folder in data/idx." in failed.stderr
        copied = [word for path in paths for word in ("-C", str(path.relative_to(clone.folder)))]
        clone.dvc(*command, *copied, "fetch")
    finally:
        for path in paths:
            path.unlink()
    # Here, nothing has changed.
    assert clone.repro() == set()
