"""The model card: its figures, its code, and the files that it is about, as somebody gets them."""

import hashlib
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc.repo import Repo
from markdown_it import MarkdownIt
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score, roc_auc_score

from stages.common.arrays import load_group, load_set
from stages.report import model_card, results
from stages.report.model_card import most_confused
from stages.report.results import tree
from tests.support import ROOT
from tests.support.clone import Clone, yaml

MARKDOWN = MarkdownIt("commonmark").enable("table")
MODELS = ("digits_sgd", "digits_svc", "digits_ovr_svc", "binary_sgd", "binary_forest")


@pytest.fixture(scope="module")
def card(clone: Clone) -> str:
    return (clone.folder / "reports" / "model_card.md").read_text(encoding="utf-8")


def tables(card: str) -> list[list[dict[str, str]]]:
    """Every table as its rows, by the titles of the columns."""
    found = []
    for table in re.findall(r"(?:^\|.+\|\n)+", card, re.M):
        header, _, *rows = ([c.strip() for c in row.split("|")[1:-1]] for row in table.splitlines())
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


def table(card: str, *titles: str) -> dict[str, dict[str, str]]:
    """The first table with these first titles, its rows by their first cell."""
    rows = next(rows for rows in tables(card) if tuple(rows[0])[: len(titles)] == titles)
    return {row[titles[0]]: row for row in rows}


def number(shown: str) -> float:
    return float(shown.replace(",", "").replace("\N{NO-BREAK SPACE}%", "e-2"))


def is_shown(shown: str, value: float) -> bool:
    """Whether ``value`` is shown to as many decimals as there are."""
    decimals = len(shown.removesuffix("\N{NO-BREAK SPACE}%").partition(".")[2]) + 2 * ("%" in shown)
    return abs(number(shown) - value) <= 0.5 * 10.0**-decimals + 1e-9


def said(folder: Path, model: str) -> NDArray[Any]:
    path = folder / "data" / "models" / model.replace("_", "/", 1) / "predictions.npz"
    return load_group(path)["predictions"]


def artifacts(clone: Clone) -> dict[str, Any]:
    with Repo(str(clone.folder)) as repo:
        return repo.artifacts.read()["dvc.yaml"]


def test_every_figure_is_what_the_models_said(clone: Clone, card: str) -> None:
    """Counted again from labels, predictions and scores, not read from the reports."""
    data = clone.folder / "data"
    y, y_test = (np.load(data / part / "labels.npy") for part in ("train", "test"))
    accuracies = table(card, "model", "test accuracy")
    of_detectors = table(card, "model", "threshold")
    thresholds = yaml.load(clone.folder / "params.yaml")["binary"]["thresholds"]["decision"]
    for model in MODELS:
        truth = y_test == 5 if model.startswith("binary") else y_test
        right = accuracy_score(truth, said(clone.folder, model))
        assert is_shown(accuracies[f"`{model}`"]["test accuracy"], right)
    for name in ("sgd", "forest"):
        row = of_detectors[f"`binary_{name}`"]
        assert number(row["threshold"]) == thresholds[name]
        scores = np.load(data / f"models/binary/{name}/out_of_fold.npz")["scores"]
        (tn, fp), (fn, tp) = confusion_matrix(y == 5, scores > thresholds[name])
        assert is_shown(row["precision"], tp / (tp + fp))
        assert is_shown(row["recall"], tp / (tp + fn))
        assert is_shown(row["F1"], 2 * tp / (2 * tp + fp + fn))
        # The mean of folds that differ by an image.
        assert number(row["accuracy"]) == pytest.approx((tp + tn) / len(y), abs=1e-4)
        assert is_shown(row["ROC AUC"], roc_auc_score(y == 5, scores))
    (commonest,) = re.findall(r"the commoner one is right for\s(\S+) of", card)
    assert is_shown(commonest, np.mean(y != 5))
    for row in table(card, "model", "test accuracy", "why there is no file").values():
        file = f"digits/{'knn' if row['model'] == 'kNN' else 'knn_augmented'}.json"
        assert is_shown(row["test accuracy"], clone.metrics(file)["test_accuracy"])
    by_class = table(card, "class", "training images")
    assert list(by_class) == [str(digit) for digit in range(10)]
    of_sgd, of_neighbors = (
        recall_score(y_test, said(clone.folder, f"digits_{model}"), average=None)
        for model in ("sgd", "knn_augmented")
    )
    for digit, row in enumerate(by_class.values()):
        assert number(row["training images"]) == np.sum(y == digit)
        assert number(row["test images"]) == np.sum(y_test == digit)
        assert is_shown(row["recall of `digits_sgd`"], of_sgd[digit])
        assert is_shown(row["of kNN with shifted copies, below"], of_neighbors[digit])
    group = np.load(data / "models/digits/sgd_scaled/out_of_fold.npz")
    matrix = confusion_matrix(y, group["scores"].argmax(axis=1))
    shares = matrix / matrix.sum(axis=1, keepdims=True)
    np.fill_diagonal(matrix, 0)
    (rows,) = (rows for rows in tables(card) if "is called a" in rows[0])
    assert [number(row["images"]) for row in rows] == sorted(matrix.ravel())[: -len(rows) - 1 : -1]
    for row in rows:
        cell = int(row["is a"]), int(row["is called a"])
        assert number(row["images"]) == matrix[cell]
        assert is_shown(row["of its class"], shares[cell])


def test_no_figure_is_written_in_the_template() -> None:
    folder = ROOT / "stages" / "report" / "pages" / "model_card"
    text = (folder / "model_card.md.jinja").read_text(encoding="utf-8").split("## Licence")[0]
    filled = r"```.+?```|`[^`]+`|\{\{.+?\}\}|\{%.+?%\}|\{#.+?#\}|F1|SHA-256"
    left = set(re.findall(r"\d+", re.sub(filled, "", text, flags=re.S)))
    assert left == {"28", "0", "255", "1000"}


def test_it_is_markdown_with_nothing_left_of_its_template(card: str) -> None:
    rest = re.findall(r"\{\{|\{%|\}\}|%\}|\{#|Undefined|None|\bnan\b|\binf\b|\n\n\n", card)
    assert rest == []
    tokens = MARKDOWN.parse(card)
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == len(tables(card)) == 8
    rows = sum(len(rows) + 1 for rows in tables(card))
    assert kinds.count("tr_open") == rows
    titles = [b.content for a, b in pairwise(tokens) if a.tag == "h2"]
    assert titles[::2] == [
        "Data",
        "What they are worth",
        "What they are for",
        "Other models, which are not saved",
        "How to load them",
        "Licence and citation",
    ]
    links = re.findall(r"\]\(([^)]+)\)", card)
    assert [link for link in links if not (ROOT / "reports" / link).exists()] == []


@pytest.mark.parametrize("is_mnist", [True, False])
def test_it_says_of_which_data_it_is(clone: Clone, card: str, is_mnist: bool) -> None:
    assert "A sample of MNIST, and **not the full data set**" in card
    assert "LeCun" in card
    folder = clone.folder
    metrics, params = tree(folder / "data" / "metrics"), yaml.load(folder / "params.yaml")
    metrics["data"]["is_mnist"], params["data"]["source"] = is_mnist, "folder"
    plots = folder / "reports" / "plots"
    made = model_card.card(
        folder / "stages" / "report" / "pages" / "model_card",
        {str(digit): str(digit) for digit in range(10)},
        {name: results.table(plots / f"{name}.csv") for name in ("class_counts", "confusion")},
        {"digits_sgd": folder / "data/models/digits/sgd/model.skops"},
        metrics=metrics,
        params=params,
    )
    assert ("**Not MNIST**" in made) == (not is_mnist)
    assert ("LeCun" in made) == is_mnist
    assert "sample" not in made


def test_confusions_by_hand() -> None:
    cells = [["a", "a", "6"], ["a", "b", "2"], ["b", "a", "3"], ["b", "b", "0"]]
    assert most_confused(cells, 5) == [("b", "a", 3, 1.0), ("a", "b", 2, 0.25)]
    assert most_confused(cells, 1) == [("b", "a", 3, 1.0)]
    assert most_confused([["a", "a", "6"], ["a", "b", "0"]], 5) == []


# As a stranger runs it: no folder of this repository, and a module of it would be an error.
STRANGER = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"stages", "dvc", "joblib.externals.cloudpickle"}:
            raise AssertionError(name)

sys.meta_path.insert(0, Refuse())
import numpy as np
images = np.load("images.npy")
"""


@pytest.mark.parametrize("model", MODELS)
def test_a_stranger_gets_a_model_and_the_same_answers(
    clone: Clone, card: str, tmp_path: Path, model: str
) -> None:
    """By ``dvc get``, with the code of the card, for every test image."""
    artifact = artifacts(clone)[model.replace("_", "-")]
    assert artifact.type == "model"
    clone.dvc("get", str(clone.folder), artifact.path, "--out", str(tmp_path / "model.skops"))
    digest = hashlib.sha256((tmp_path / "model.skops").read_bytes()).hexdigest()
    assert table(card, "file of", "SHA-256")[f"`{model}`"]["SHA-256"] == f"`{digest}`"
    np.save(tmp_path / "images.npy", np.load(clone.folder / "data" / "test" / "images.npy"))
    _, load, load_trees = re.findall(r"```python\n(.+?)```", card, re.S)
    if model == "binary_forest":
        load = load.replace('model = skops.io.load("model.skops")\n', load_trees)
    code = f"{STRANGER}\n{load}\nnp.save('answers.npy', answers)"
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    answers = np.load(tmp_path / "answers.npy")
    assert len(answers) == 1000
    np.testing.assert_array_equal(answers, said(clone.folder, model))


def test_a_released_model_is_got_by_its_name(clone: Clone, tmp_path: Path) -> None:
    clone.run("git", "tag", "--annotate", "digits-sgd@v1.0.0", "--message", "The first")
    try:
        out = tmp_path / "model.skops"
        clone.dvc("artifacts", "get", str(clone.folder), "digits-sgd", "--out", str(out))
    finally:
        clone.run("git", "tag", "--delete", "digits-sgd@v1.0.0")
    expected = clone.folder / "data/models/digits/sgd/model.skops"
    assert out.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize("model", ["knn", "knn_augmented"])
def test_the_cards_knn_is_the_one_of_the_figures(clone: Clone, card: str, model: str) -> None:
    folder = "train" if model == "knn" else "augmented"
    assert f"`data/{folder}`" in card
    data, names = clone.folder / "data", dict[str, Any]()
    names["images"], names["labels"] = load_set(data / folder)
    exec(re.findall(r"```python\n(.+?)```", card, re.S)[0], names)
    test, y_test = load_set(data / "test")
    right = accuracy_score(y_test, names["knn"].predict(test.reshape(len(test), -1)))
    assert right == clone.metrics(f"digits/{model}.json")["test_accuracy"]


def test_every_artifact_is_in_the_card_and_made(clone: Clone, card: str) -> None:
    paths = {artifact.path for artifact in artifacts(clone).values()}
    assert set(re.findall(r"`(data/\S+\.skops)`", card)) == paths
    # Whatever is saved is offered.
    assert paths == {path for path in clone.outs() if path.endswith(".skops")}
