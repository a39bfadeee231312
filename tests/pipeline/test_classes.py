"""Other classes than the ten digits: all stages take them from the labels."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.data.sources import IDX_FILES, Mnist
from tests.support.clone import Clone, yaml

# For each digit, in their order.
OTHER_NUMBERS = np.array([2, 3, 17, 40, 100, 128, 199, 200, 254, 255], np.uint8)
IDX_HEADERS = {3: b"\0\0\x08\x03", 1: b"\0\0\x08\x01"}


def run(clone: Clone, folder: Path, images: NDArray, labels: NDArray, **values: Any) -> None:
    """Run every stage on these images, the first 80 % of which are for training."""
    stages = clone.copy_stages(folder)
    n_train = len(images) * 4 // 5
    parts = (images[:n_train], images[n_train:], labels[:n_train], labels[n_train:])
    for name, part in zip(IDX_FILES, parts, strict=True):
        header = IDX_HEADERS[part.ndim] + np.array(part.shape, ">u4").tobytes()
        (folder / "data" / "idx" / name).write_bytes(header + part.tobytes())
    copy = Clone.__new__(Clone)
    copy.folder = folder
    copy.edit(data__source="folder", split__n_train=n_train, **values)
    stages()


def metrics(folder: Path) -> dict[str, Any]:
    """All metrics by their file, without those of the data and of the two labels a digit."""
    top = folder / "reports" / "metrics"
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


def test_other_numbers_for_the_same_digits_change_nothing_else(
    clone: Clone, digits: Mnist, tmp_path: Path
) -> None:
    images, labels = digits
    pair = [int(OTHER_NUMBERS[digit]) for digit in (3, 5)]
    target = int(OTHER_NUMBERS[5])
    numbers = OTHER_NUMBERS[labels]
    run(clone, tmp_path, images, numbers, binary__target=target, errors__pair=pair)
    ours = metrics(clone.folder)
    assert metrics(tmp_path) == {name: renumbered(report) for name, report in ours.items()}
    for plot, of_digits in {
        "class_counts": ["digit"],
        "confusion": ["actual", "predicted"],
        "errors": ["actual", "predicted"],
    }.items():
        expected = columns(clone.folder, plot)
        for name in of_digits:
            expected[name] = [str(OTHER_NUMBERS[int(digit)]) for digit in expected[name]]
        assert columns(tmp_path, plot) == expected


def some(digits: Mnist, *, classes: str) -> tuple[NDArray, NDArray]:
    """Images and labels of several kinds: what other data may be like."""
    images, labels = digits
    if classes == "two, sorted":
        chosen = np.flatnonzero(np.isin(labels, [3, 5]))[:500]
        train, test = chosen[:400], chosen[400:]
        order = np.concatenate([train[np.argsort(labels[train], kind="stable")], test])
        return images[order], labels[order]
    if classes == "no 0, a rare 7":
        rare = np.flatnonzero(labels == 7)[6:]
        kept = np.setdiff1d(np.flatnonzero(labels > 0)[:1500], rare)
        return images[kept], labels[kept]
    assert classes == "47"
    numbers = (5 * labels[:4000] + images[:4000].sum(axis=(1, 2)) % 5).astype(np.uint8)
    kept = numbers < 47
    return images[:4000][kept], numbers[kept]


@pytest.mark.parametrize("classes", ["two, sorted", "no 0, a rare 7", "47"])
def test_figures_are_right_whatever_the_classes(
    clone: Clone, digits: Mnist, tmp_path: Path, classes: str
) -> None:
    images, labels = some(digits, classes=classes)
    few = {"grid__n_folds": 3, "neighbors__k": 20, "augment__picture": {"image": 0, "pixels": 5}}
    run(clone, tmp_path, images, labels, **few)
    n_train = len(labels) * 4 // 5
    train, test = labels[:n_train], labels[n_train:]
    known = np.unique(train)
    reports = metrics(tmp_path)
    # Each accuracy, from what the models said.
    for model in ("sgd", "svc", "ovr_svc"):
        said = np.load(tmp_path / "data" / "models" / f"digits_{model}" / "predictions.npz")
        assert set(said["predictions"]) <= set(known)
        right = np.mean(said["predictions"] == test)
        assert reports[f"digits/{model}.json"]["test_accuracy"] == pytest.approx(right, abs=1e-9)
        # Far above a guess.
        assert right > 1.5 / len(known)
        first = reports[f"digits/{model}.json"]["first_digit"]
        scores = {int(key.removeprefix("score_")): v for key, v in first.items() if "_" in key}
        assert sorted(scores) == known.tolist()
    # Each fold of the out-of-fold scores, against the confusion matrix.
    confusion = columns(tmp_path, "confusion")
    cells = zip(confusion["actual"], confusion["predicted"], confusion["count"], strict=True)
    counts = {(int(a), int(p)): int(n) for a, p, n in cells}
    assert len(counts) == len(known) ** 2
    for digit in known:
        assert sum(n for (a, _), n in counts.items() if a == digit) == np.sum(train == digit)
    folds = np.load(tmp_path / "data" / "models" / "digits_sgd_scaled" / "stratified.npz")["folds"]
    accuracy = reports["digits/sgd_scaled.json"]["accuracy"]
    right = sum(accuracy[f"fold_{i + 1}"] * np.sum(folds == i) for i in range(3))
    assert sum(n for (a, p), n in counts.items() if a == p) == pytest.approx(right, abs=1e-4)
    params = yaml.load(tmp_path / "params.yaml")
    page = (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")
    assert f"tell {len(known)} digits apart" in page
    assert f"is a {params['binary']['target']}" in page
    card = (tmp_path / "reports" / "model_card.md").read_text(encoding="utf-8")
    assert f"which of {len(known)} classes" in card
    assert re.findall(r"\bnan\b|\{\{|\bNone\b", card) == []
    rows = re.findall(r"^\| (\d+) \| ([\d,]+) \| ([\d,]+) \| (\S+) \|", card, re.M)
    assert [int(label) for label, *_ in rows] == known.tolist()
    said = np.load(tmp_path / "data" / "models" / "digits_sgd" / "predictions.npz")["predictions"]
    for label, n_images, n_tested, recall in rows:
        asked = test == int(label)
        assert int(n_images.replace(",", "")) == np.sum(train == int(label))
        assert int(n_tested) == np.sum(asked)
        shown = f"{np.mean(said[asked] == int(label)):.4f}" if asked.any() else "none"
        assert recall == shown
