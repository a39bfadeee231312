"""The report and DVC's page of plots in a real browser, without a network."""

import csv
import re
import shutil
from base64 import b64decode, b64encode
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

from stages.common.arrays import load, load_group, load_set
from stages.output.pictures import sheet
from stages.strokes.extract_features import features, normalising
from stages.strokes.svm import ranked
from tests.support import ROOT
from tests.support.clone import Clone
from tests.support.dag import plots
from tests.support.want import want

# Before all others, which take time.
pytestmark = pytest.mark.usefixtures("chromium")

# Small enough to mail.
MAX_PAGE = 6_000_000
WIDE, NARROW = (1400, 900), (360, 740)


@pytest.fixture(scope="module")
def pages(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one for each page: the report, plots of one revision, and plots of two."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(clone.folder / "reports", folder / "report")
    clone.dvc("plots", "show", "--out", str(folder / "plots"))
    clone.edit(binary__thresholds__precision=0.85, grid__n_neighbors=[3, 4, 6])
    clone.repro()
    clone.dvc("plots", "diff", "main", "--out", str(folder / "diff"))
    clone.undo()
    return folder


def open_page(
    browser: Browser, path: Path, size: tuple[int, int] = WIDE, scheme: Any = "light"
) -> tuple[Page, list[str]]:
    """A page that was opened without a network, and what its console says from then on.

    The console tells of a request, too: the page's security policy allows none.
    """
    assert path.stat().st_size < MAX_PAGE
    viewport: Any = {"width": size[0], "height": size[1]}
    page = browser.new_page(offline=True, color_scheme=scheme, viewport=viewport)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-drawn]")
    return page, said


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, pages: Path) -> Iterator[Page]:
    """The report, where a test names no other page; whatever is done, its console is silent."""
    name, *looks = getattr(request, "param", ("report",))
    page, said = open_page(browser, pages / name / "index.html", *looks)
    yield page
    page.close()
    assert said == []


def each(*names: str, looks: Any = ((WIDE, "light"),)) -> pytest.MarkDecorator:
    """The pages, each with these sizes and colours."""
    found = [
        pytest.param((name, size, scheme), id=f"{name}, {size[0]} wide, {scheme}")
        for name in names
        for size, scheme in looks
    ]
    return pytest.mark.parametrize("page", found, indirect=True)


def levels(page: Page, canvas: str) -> NDArray[np.uint8]:
    """The pixels of a canvas (height, width, 4)."""
    png = page.locator(canvas).evaluate("canvas => canvas.toDataURL().split(',')[1]")
    with Image.open(BytesIO(b64decode(png))) as image:
        return np.asarray(image.convert("RGBA"))


@each("report", "plots", "diff", looks=((WIDE, "light"), (NARROW, "dark")))
def test_a_page_draws_offline_for_everybody(page: Page) -> None:
    charts = page.locator(".chart")
    assert charts.count() == len([name for name in plots() if not name.endswith(".png")]) - (
        # There it is a table.
        "/report/" in page.url
    )
    for chart in charts.all():
        assert chart.locator(".mark-rect path, .mark-symbol path, .mark-line path").count() or (
            chart.locator(".mark-text text").count() > 50
        )
    assert page.locator("img").count() >= len([name for name in plots() if name.endswith(".png")])
    loaded = "images => images.filter(i => i.complete && i.naturalWidth && i.alt).length"
    assert page.locator("img").evaluate_all(loaded) == page.locator("img").count()
    # Wide things scroll by themselves.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@each("plots")
def test_every_cell_and_bar_is_drawn(page: Page) -> None:
    def drawn(title: str, marks: str) -> int:
        return page.locator(".chart", has_text=title).locator(marks).count()

    assert drawn("Images of each class", ".mark-rect path") == 2 * 10
    assert drawn("Confusion matrix", ".mark-rect.cell path, .mark-rect path[aria-label]") == 100
    assert drawn("Its errors", ".mark-rect path[aria-label]") == 90
    assert drawn("kNN, mean accuracy", ".mark-symbol path[aria-label]") == 6
    assert drawn("ROC curves", ".mark-line path") == 1 + 2
    assert drawn("Precision and recall against", ".mark-line path") == 4


@each("diff")
def test_two_revisions_are_told_apart(page: Page) -> None:
    for title in ("ROC", "Precision against recall", "Precision and recall against"):
        chart = page.locator(".chart", has_text=title).first
        dashes = chart.locator(".mark-line path").evaluate_all(
            "paths => paths.map(path => path.getAttribute('stroke-dasharray'))"
        )
        assert len(set(dashes)) >= 2
        # One legend for the lines, one for the dots.
        for revision in ("main", "workspace"):
            assert chart.locator(".role-legend-label").get_by_text(revision).count() == 2


def test_the_slider_shows_what_scikit_learn_computes(page: Page, clone: Clone) -> None:
    y = np.load(clone.folder / "data" / "train" / "labels.npy") == 5
    with (clone.folder / "reports" / "plots" / "precision_recall.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    slider, of_detector = page.locator("#threshold-form input"), ""
    for model in ("sgd", "forest"):
        thresholds = [float(row["threshold"]) for row in rows if row["model"] == model]
        of_fold = load_group(clone.folder / f"data/models/binary/{model}/out_of_fold.npz")["scores"]
        page.locator("#threshold-form select").select_option(model)
        for key in ("Home", "PageUp", "PageUp", "ArrowRight", "End"):
            slider.press(key)
            threshold = thresholds[int(slider.input_value())]
            answers = of_fold >= threshold
            tn, fp, fn, tp = confusion_matrix(y, answers).ravel()
            expected = {
                **{name: f"{n:,}" for name, n in {"tn": tn, "fp": fp, "fn": fn, "tp": tp}.items()},
                "precision": f"{precision_score(y, answers):.4f}",
                "recall": f"{recall_score(y, answers):.4f}",
                "f1": f"{f1_score(y, answers):.4f}",
                "fpr": f"{fp / (fp + tn):.4f}",
            }
            assert {name: page.inner_text(f"[data-value={name}]") for name in expected} == expected
            shown = page.inner_text("[data-value=threshold]")
            assert float(shown.replace(",", "")) == pytest.approx(threshold, abs=0.06)
            # The SGD detector is held against its own, whichever the slider shows.
            of_detector = shown if model == "sgd" else of_detector
            assert page.inner_text("#detector-threshold") == of_detector
            below = scores(page)[10] < float(of_detector.replace(",", ""))
            says = "below it: not a 5" if below else "at or above it: a 5"
            assert page.inner_text("#detector-says") == says


def test_a_click_shows_the_digits_of_a_cell(page: Page, clone: Clone) -> None:
    images, y = load_set(clone.folder / "data" / "train")
    scores = load_group(clone.folder / "data/models/digits/sgd_scaled/out_of_fold.npz")["scores"]
    predictions = scores.argmax(axis=1)
    cells = page.locator("[data-chart=errors] .mark-rect path[aria-label]")
    for nth in (11, 60, 89):
        cell = cells.nth(nth)
        label = cell.get_attribute("aria-label") or ""
        found = dict(re.findall(r"(actual|predicted) class: (\d)", label))
        actual, predicted = int(found["actual"]), int(found["predicted"])
        # Its number lies over it, and is the cell too.
        cell.click(force=True)
        chosen = (y == actual) & (predictions == predicted)
        expected = np.zeros((9, 28, 28), np.uint8)
        expected[: min(9, chosen.sum())] = images[chosen][:9]
        tile = np.uint8(255) - levels(page, "#examples")[..., 0]
        frame = (len(tile) - 3 * 28) // 2
        np.testing.assert_array_equal(tile[frame:-frame, frame:-frame], sheet(expected, 3))
        assert page.inner_text("#examples-caption") == (
            f"{chosen.sum()} of {(y == actual).sum()} images of a {actual} "
            f"are classified as {predicted}."
        )
    page.locator("select[name=predicted]").select_option("2")
    assert page.inner_text("#examples-caption").endswith("as 2.")


# Strokes on paper of 270 × 270.
ONE = [(150, 40), (140, 150), (132, 240)]
THREE = [(90, 70), (150, 40), (195, 85), (135, 130), (195, 190), (140, 240), (85, 215)]
SEVEN_SMALL = [(20, 30), (70, 28), (40, 100)]
DASH = [(100, 140), (180, 140)]


def draw(page: Page, stroke: list[tuple[int, int]]) -> None:
    """A stroke on the paper, with the mouse."""
    paper = page.locator("#paper")
    paper.scroll_into_view_if_needed()
    box: Any = paper.bounding_box()
    for at, (x, y) in enumerate(stroke):
        page.mouse.move(box["x"] + x, box["y"] + y)
        if at == 0:
            page.mouse.down()
    page.mouse.up()


def seen(page: Page) -> NDArray[np.uint8]:
    """What the classifiers see (28, 28), from 0 to 255 (ink)."""
    grey = levels(page, "#seen")
    assert (grey[..., :3] == grey[..., :1]).all()
    assert (grey[..., 3] == 255).all()
    return np.uint8(255) - grey[..., 0]


def scores(page: Page) -> list[float]:
    values = "all => all.map(one => Number(one.value))"
    return list(page.locator("#scores data, #detector-score").evaluate_all(values))


@pytest.fixture(scope="module")
def theirs(clone: Clone) -> Any:
    """What scikit-learn's own classifiers say of an image: ten scores, and the detector's."""
    models = [
        skops.io.load(clone.folder / "data" / "models" / name / "sgd" / "model.skops")
        for name in ("digits", "binary")
    ]
    return lambda image: [
        score for model in models for score in np.ravel(model.decision_function([image.ravel()]))
    ]


def assert_form_of_mnist(drawn: NDArray[np.float64], image: NDArray[np.float64]) -> None:
    """The image (28, 28) is what is drawn, 20 pixels long, with its centre in the middle."""
    rows, columns = np.nonzero(image)
    assert max(np.ptp(rows), np.ptp(columns)) == 19
    scale = 20 / (max(map(np.ptp, np.nonzero(drawn))) + 1)
    # Averages keep all ink.
    assert image.sum() == pytest.approx(drawn.sum() * scale**2, rel=0.01)
    for indices in (rows, columns):
        assert abs(np.average(indices, weights=image[rows, columns]) - 14) <= 0.5


def assert_says_of_pixels(page: Page, expected: list[float]) -> None:
    """SGD's answer, its ten scores and their bars, and the detector's score."""
    np.testing.assert_allclose(scores(page), expected, rtol=1e-9, atol=1e-6)
    best = str(np.argmax(expected[:10]))
    assert page.inner_text("#says") == f"SGD says: {best}"
    assert page.inner_text("#scores [data-best] th") == best
    shown = page.locator("#scores data").all_inner_texts()
    assert shown == [f"{round(score):,}" for score in expected[:10]]
    bars = page.locator("#scores .bar span").evaluate_all(
        "all => all.map(bar => [bar.className, bar.getBoundingClientRect().width])"
    )
    assert [name for name, _ in bars] == ["against" if s < 0 else "for" for s in expected[:10]]
    lengths, sizes = np.array([length for _, length in bars]), np.abs(expected[:10])
    np.testing.assert_allclose(lengths / lengths.max(), sizes / sizes.max(), atol=0.01)


def test_a_drawn_digit_is_answered_as_in_python(page: Page, clone: Clone, theirs: Any) -> None:
    learned = load_group(clone.folder / "data/models/digits/strokes/svm.npz")
    said, images = set(), []
    # The first is drawn over an example.
    for stroke in (ONE, ONE, THREE, SEVEN_SMALL, DASH):
        draw(page, stroke)
        image = seen(page)
        images.append(image)
        assert_form_of_mnist(levels(page, "#paper")[..., 3].astype(float), image.astype(float))
        expected = theirs(image)
        assert_says_of_pixels(page, expected)
        of_strokes = features(image[None], normalising(image[None]))
        (first,), (second,), (margin,) = ranked(learned, of_strokes)
        expect(page.locator("#svm-says")).to_have_text(f"SVM says: {first}")
        hesitates = " Below 1, it hesitates." if margin < 1 else ""
        shown = f"Its margin over {second}: {margin:.2f}.{hesitates}"
        expect(page.locator("#svm-margin")).to_have_text(shown)
        best = np.argmax(expected[:10])
        differ = f"They differ: ink on the pixels of a {best}, in strokes of a {first}."
        shown = "They agree." if best == first else differ
        expect(page.locator("#differ")).to_have_text(shown)
        said |= {best, shown[:10]}
        page.get_by_role("button", name="Clear").click()
        assert not levels(page, "#paper").any()
        assert not seen(page).any()
        assert page.inner_text("#says") == "Nothing is drawn."
        assert set(page.locator("#scores data").all_inner_texts()) == {"–"}
        assert page.locator("#scores [data-best]").count() == 0
        for selector, nothing in {"#svm-says": "SVM says: –", "#differ": ""}.items():
            expect(page.locator(selector)).to_have_text(nothing)
    np.testing.assert_array_equal(images[0], images[1])
    draw(page, ONE)
    draw(page, DASH)
    assert (seen(page) != images[-1]).any()
    assert said >= {1, "They agree", "They diffe"}


def test_arrow_keys_show_the_digits_of_every_class(page: Page, clone: Clone, theirs: Any) -> None:
    images, y = load_set(clone.folder / "data" / "train")
    slider = page.get_by_role("slider", name="example")
    slider.press("Home")
    for digit in range(10):
        text = slider.get_attribute("aria-valuetext") or ""
        assert text.startswith(f"a {digit}, {digit + 1} of ")
        assert page.inner_text("#paper-caption").startswith(f"An example: a {digit}.")
        assert (images[y == digit] == seen(page)).all(axis=(1, 2)).any()
        assert_says_of_pixels(page, theirs(seen(page)))
        slider.press("ArrowRight")


def test_weights_are_drawn_blue_for_and_red_against(page: Page, clone: Clone) -> None:
    for model, first in (("digits/sgd", 0), ("binary/sgd", 10)):
        said = load_group(clone.folder / "data" / "models" / model / "predictions.npz")
        for i, weights in enumerate(said["weights"].reshape(-1, 28, 28)):
            canvas = f"#weights figure:nth-child({first + i + 1}) canvas"
            red, green, blue, _ = np.moveaxis(levels(page, canvas).astype(int), -1, 0)
            strong = np.abs(weights) > np.quantile(np.abs(weights), 0.9)
            np.testing.assert_array_equal((blue > red)[strong], (weights > 0)[strong])
            assert ((red == 255) & (green == 255) & (blue == 255))[weights == 0].all()
    assert page.locator("#weights canvas").count() == 11


ASK_SVM = """(images) => images.map((letters) => {
    const found = features(Uint8Array.from(atob(letters), (letter) => letter.charCodeAt(0)));
    const { first, second, margin } = ranked(learned, found);
    return [found.join(), first, second, margin];
})"""


def assert_answers_as_python(browser: Browser, folder: Path) -> None:
    """The page's own code and data give every test image Python's features and ranking."""
    page, tab = folder / "reports" / "index.html", browser.new_page(bypass_csp=True)
    tab.goto(page.as_uri())
    for name in ("digit.js", "strokes.js"):
        code = (ROOT / "stages" / "report" / "pages" / "report" / name).read_text()
        assert code in page.read_text()
        tab.add_script_tag(content=code)
    embedded = "JSON.parse(document.getElementById('embedded').textContent)"
    tab.evaluate(f"async () => (globalThis.learned = await unpack({embedded}.svm, () => 0)) && 0")
    images = [b64encode(image).decode() for image in load(folder / "data/test/images.npy")]
    batches = [tab.evaluate(ASK_SVM, images[i : i + 200]) for i in range(0, len(images), 200)]
    lines, *ranks, margin = zip(*chain(*batches), strict=True)
    tab.close()
    X = load(folder / "data" / "features" / "test.npy")
    np.testing.assert_array_equal([[int(of) for of in line.split(",")] for line in lines], X)
    model = folder / "data" / "models" / "digits" / "strokes"
    learned = load_group(model / "svm.npz")
    expected = ranked(learned, X)
    np.testing.assert_array_equal(learned["classes"][ranks], expected[:2])
    np.testing.assert_array_equal(margin, expected.margin)
    np.testing.assert_array_equal(expected.first, load_group(model / "predictions.npz")["alone"])


@pytest.mark.thorough
def test_the_svm_answers_as_in_python_on_all_of_mnist(browser: Browser) -> None:
    """Other data and few images: test_classes."""
    if not (ROOT / "reports" / "index.html").exists():
        pytest.skip(want("the results of the full MNIST", "make repro"))
    assert_answers_as_python(browser, ROOT)


def test_an_svm_that_is_too_large_is_not_in_the_page(
    browser: Browser, pages: Path, tmp_path: Path
) -> None:
    html = (pages / "report" / "index.html").read_text(encoding="utf-8")
    (tmp_path / "index.html").write_text(re.sub('"packed": "[^"]+"', '"packed": null', html))
    page, _ = open_page(browser, tmp_path / "index.html", NARROW)
    draw(page, ONE)
    expect(page.locator("#svm-margin")).to_contain_text("are too many for this page.")
    assert page.inner_text("#svm-says") == "SVM says: –"
    assert page.inner_text("#says").startswith("SGD says: ")
    page.close()
