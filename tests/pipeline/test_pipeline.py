"""The whole DAG on 5,000 real digits, in a clone, as a user runs it."""

import json
import shutil

import numpy as np

from tests.support.clone import Clone, ran

SUMMARY = "reports/metrics/summary.json"


def test_every_output_is_there_and_nothing_runs_twice(clone: Clone) -> None:
    assert clone.repro() == set()
    images = np.load(clone.folder / "data" / "augmented" / "images.npy", mmap_mode="r")
    assert images.shape == (20000, 28, 28)
    assert images.dtype == np.uint8
    assert clone.metrics("data.json") == {"images": 5000, "pixels": 784, "is_mnist": False}
    assert clone.metrics("digits/knn_augmented.json")["n_train"] == 20000


def test_models_learn_something(clone: Clone) -> None:
    assert clone.metrics("digits/svc.json")["test_accuracy"] > 0.94
    assert clone.metrics("digits/knn.json")["test_accuracy"] > 0.92
    assert clone.metrics("digits/strokes.json")["test_accuracy"] > 0.98
    assert clone.metrics("binary/forest.json")["roc_auc"] > 0.95
    error = clone.metrics("denoise.json")["mean_absolute_error"]
    assert error["after"] < error["before"] / 2


def test_an_edit_and_what_it_changes(clone: Clone) -> None:
    before = clone.metrics("binary/sgd.json")["operating_point"]
    clone.edit(binary__thresholds__precision=0.95)
    clone.repro()
    after = clone.metrics("binary/sgd.json")["operating_point"]
    assert after["precision"] >= 0.95 > before["precision"]
    changed = json.loads(clone.dvc("metrics", "diff", "--json", "main").stdout)
    assert {file: list(keys) for file, keys in changed.items()} == {
        SUMMARY: ["sgd.recall_at_precision"]
    }
    assert "binary.thresholds.precision" in clone.dvc("params", "diff", "main").stdout
    clone.undo()


# What the checks write, beside the files that say that they have passed.
OF_CHECKS = {"params.json", "params.schema.json", "classes.json"}


def test_a_wrong_value_stops_before_any_work_and_loses_nothing(clone: Clone) -> None:
    files = {
        path: path.stat().st_mtime_ns
        for path in map(clone.folder.joinpath, clone.files())
        if path.suffix != ".checked" and path.name not in OF_CHECKS
    }
    clone.edit(forest__seed=1, binary__target=12)
    failed = clone.dvc("repro", check=False)
    assert failed.returncode != 0
    told = "params.yaml: binary.target is 12, but should be of the classes 0, 1, 2"
    assert told in failed.stderr
    assert "Traceback" not in failed.stderr
    assert ran(failed.stdout) == {"check_params", "check_data"}
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert (clone.folder / "data" / "params.schema.json").is_file()
    clone.undo()


def test_metrics_and_plots_are_shown(clone: Clone) -> None:
    (shown,) = json.loads(clone.dvc("metrics", "show", "--json").stdout).values()
    assert list(shown["data"]) == [SUMMARY]
    clone.dvc("plots", "show", "--out", "plots")
    page = (clone.folder / "plots" / "index.html").read_text()
    assert "<DVC_METRIC" not in page
    for title in ("ROC curves", "Confusion matrix", "kNN, mean accuracy", "Images of each class"):
        assert title in page
    for picture in ("first_digit", "first_digits", "shifts", "errors", "denoise"):
        assert f"_{picture}.png" in page
    shutil.rmtree(clone.folder / "plots")
