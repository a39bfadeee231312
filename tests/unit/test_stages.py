"""What a stage writes: of the right files and parameters, against scikit-learn or by hand."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from stages.common.arrays import load_set, save, save_group, save_set
from stages.data import augment, gallery, label, split
from stages.data.sources import Mnist
from stages.evaluate import analyse_errors, evaluate_binary, evaluate_digits
from stages.neighbors import denoise, evaluate_multilabel, search_grid
from stages.neighbors.search import nearest

N_TRAIN, N_TEST = 300, 80
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an array, a group of arrays, or else JSON, which is YAML too; return the path."""

    def written(name: str, content: Any = None, **group: Any) -> Path:
        path = tmp_path / name
        if group:
            save_group(path, **group)
        elif isinstance(content, np.ndarray):
            save(path, content)
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return written


@pytest.fixture
def train(digits: Mnist, tmp_path: Path) -> Path:
    save_set(tmp_path / "train", digits[0][:N_TRAIN], digits[1][:N_TRAIN])
    return tmp_path / "train"


@pytest.fixture
def held_out(digits: Mnist, tmp_path: Path) -> Path:
    save_set(tmp_path / "test", digits[0][-N_TEST:], digits[1][-N_TEST:])
    return tmp_path / "test"


@pytest.fixture
def neighbors(train: Path, write: Write) -> Path:
    """Those of the training images."""
    images, _ = load_set(train)
    indices, squared = nearest(np.asarray(images), np.asarray(images), 40)
    return write("neighbors.npz", indices=indices, squared_distances=squared)


def rows(images: NDArray) -> NDArray[np.float64]:
    return images.reshape(len(images), -1).astype(np.float64)


def in_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def table(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    return dict(zip(header, map(list, zip(*lines, strict=True)), strict=True))


def numbers(column: list[str]) -> list[float]:
    return [float(value) for value in column]


def about(expected: Any) -> Any:
    """Metrics are written to 10 decimals."""
    return pytest.approx(expected, abs=1e-9)


def test_the_first_images_train_and_the_rest_test(write: Write, tmp_path: Path) -> None:
    images = np.random.RandomState(0).randint(0, 256, (50, 28, 28)).astype(np.uint8)
    labels = np.arange(50, dtype=np.uint8) % 7
    params = write("params.yaml", {"split": {"n_train": 30}, "binary": {"target": 2}})
    whole, train, test, is_target = (tmp_path / name for name in ("whole", "train", "test", "is"))
    save_set(whole, images, labels)
    split.main(params, whole, train, test)
    label.main(params, train, test, is_target)
    found = (*load_set(train), *load_set(test))
    found += tuple(np.load(is_target / f"{part}.npy") for part in ("train", "test"))
    expected = (images[:30], labels[:30], images[30:], labels[30:], labels[:30] == 2)
    for ours, array in zip(found, (*expected, labels[30:] == 2), strict=True):
        assert ours.dtype == array.dtype
        np.testing.assert_array_equal(ours, array)


def test_the_augmented_set_is_of_the_parameters(train: Path, write: Write, tmp_path: Path) -> None:
    params = write("params.yaml", {"augment": {"shifts": [[1, 0], [0, -2]], "seed": 7}})
    augment.main(params, train, tmp_path / "augmented")
    expected = augment.augment(*load_set(train), [(1, 0), (0, -2)], 7)
    for found, array in zip(load_set(tmp_path / "augmented"), expected, strict=True):
        np.testing.assert_array_equal(found, array)


def test_the_gallery_has_the_images_of_the_parameters(
    train: Path, held_out: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(gallery, "save_panels", lambda path, *told: drawn.update({path.stem: told}))
    shift = {"image": 11, "pixels": 5}
    params = write("params.yaml", {"gallery": {"n_digits": 9}, "augment": {"picture": shift}})
    images, labels = map(np.asarray, load_set(train))
    names = {str(i): f"number {i}" for i in range(10)}
    rows_of = {"noisy": images[:3] + np.uint16(9), "cleaned": images[3:6], "clean": images[:3]}
    gallery.main(
        params,
        train,
        held_out,
        write("denoised.npz", **rows_of),
        write("classes.json", {"noun": "digit", "names": names}),
        tmp_path,
        tmp_path / "counts.csv",
    )
    (first,), (title,), *_ = drawn["first_digit"]
    np.testing.assert_array_equal(first, images[0])
    assert title == f"The first digit: a number {labels[0]}"
    (first,), (title,), *_ = drawn["first_digits"]
    expected = images[:9].reshape(3, 3, 28, 28).swapaxes(1, 2).reshape(84, 84)
    np.testing.assert_array_equal(first, expected)
    assert title == "The first 9 digits"
    shown, titles, *_ = drawn["shifts"]
    assert titles == ["original", "5 px right", "5 px left", "5 px down", "5 px up"]
    whole = np.pad(images[11], 5)
    for picture, (row, column) in zip(
        shown, [(5, 5), (5, 0), (5, 10), (0, 5), (10, 5)], strict=True
    ):
        np.testing.assert_array_equal(picture, whole[row : row + 28, column : column + 28])
    shown, titles, *_ = drawn["denoise"]
    assert titles == list(rows_of)
    for picture, of in zip(shown, rows_of.values(), strict=True):
        np.testing.assert_array_equal(picture, np.hstack(list(of)))
    counts, y_test = table(tmp_path / "counts.csv"), load_set(held_out)[1]
    assert counts["digit"] == list(names.values())
    assert numbers(counts["train"]) == [np.sum(labels == i) for i in range(10)]
    assert numbers(counts["test"]) == [np.sum(y_test == i) for i in range(10)]


def test_models_of_all_classes_are_worth_what_scikit_learn_says(
    train: Path, held_out: Path, write: Write, tmp_path: Path
) -> None:
    """One that is trained and cross-validated, and two of which there is only one of both."""
    random = np.random.RandomState(0)
    (_, y), (_, y_test) = load_set(train), load_set(held_out)
    folds = random.randint(0, 3, N_TRAIN).astype(np.uint8)
    scored, answers, scores, predicted = {}, {}, {}, {}
    for model in ("both", "scored"):
        scores[model] = random.normal(size=(N_TRAIN, 10)) + 2 * np.eye(10)[y]
        arrays = {"scores": scores[model], "folds": folds, "classes": np.arange(10)}
        scored[model] = write(f"models/{model}/out_of_fold.npz", **arrays)
    for n, model in enumerate(("both", "trained"), start=1):
        predicted[model] = np.where(random.uniform(size=N_TEST) < 0.8, y_test, 3)
        answers[model] = write(
            f"models/{model}/predictions.npz",
            classes=np.arange(10),
            first_prediction=np.array(4),
            first_scores=np.arange(10) / 8,
            predictions=predicted[model],
            n_estimators=np.array(n),
            n_problems=np.array(45 * n),
        )
    metrics = {model: tmp_path / f"{model}.json" for model in ("both", "scored", "trained")}
    # Of another branch, say, and not asked for.
    write("models/other/predictions.npz", predictions=y_test)
    folders = [tmp_path / "models" / model for model in metrics]
    steps = {"alone": y_test, "without_copies": (y_test + 1) % 10}
    strokes = write("strokes/predictions.npz", predictions=predicted["both"], **steps).parent
    candidates = {"gamma": np.array([2, 3]), "error": np.array([0.5, 0.25])}
    chosen = write("chosen/grid.npz", **candidates).parent
    best = {"gamma": 3, "n_virtual_copies": 4, "weight": 1}
    write("chosen/chosen.json", best)
    of_strokes = tmp_path / "strokes.json"
    evaluate_digits.main(
        *(train, held_out, folders, strokes, folders[2], chosen, tmp_path, of_strokes, tmp_path)
    )
    errors = int(np.sum(predicted["both"] != y_test))
    found = in_json(of_strokes)
    assert {name: found[name] for name in best} == best
    assert found["test_error"]["errors"] == errors
    only_this = int(np.sum((predicted["both"] != y_test) & (predicted["trained"] == y_test)))
    only_that = int(np.sum((predicted["both"] == y_test) & (predicted["trained"] != y_test)))
    p = binomtest(only_this, only_this + only_that).pvalue
    assert list(found["against_knn_augmented"].values()) == about([only_this, only_that, p])
    assert table(tmp_path / "strokes_grid.csv") == {"gamma": ["2", "3"], "error": ["0.5", "0.25"]}
    of_knn = int(np.sum(predicted["trained"] != y_test))
    columns = table(tmp_path / "strokes_steps.csv")
    assert numbers(columns["errors"]) == [of_knn, N_TEST, 0, errors]
    assert not (tmp_path / "other.json").exists()
    for model, path in metrics.items():
        found = in_json(path)
        assert ("accuracy" in found) == (model in scored)
        assert ("test_accuracy" in found) == (model in answers)
        if model in scored:
            said = scores[model].argmax(axis=1)
            of_folds = [accuracy_score(y[folds == i], said[folds == i]) for i in range(3)]
            assert list(found["accuracy"].values()) == about([*of_folds, np.mean(of_folds)])
        if model in answers:
            assert found["test_accuracy"] == about(accuracy_score(y_test, predicted[model]))
            recalls = recall_score(y_test, predicted[model], average=None)
            assert list(found["test_recall"].values()) == about(recalls)
            n = 1 if model == "both" else 2
            assert [found["n_estimators"], found["n_problems"]] == [n, 45 * n]
            first = {"prediction": 4, **{f"score_{i}": i / 8 for i in range(10)}}
            assert found["first_digit"] == first


def test_detectors_are_evaluated_at_their_own_thresholds(
    train: Path, held_out: Path, write: Write, tmp_path: Path
) -> None:
    """Curves are of those alone that were trained on all images, and the first scores too."""
    random = np.random.RandomState(0)
    y, y_test = load_set(train)[1] == 5, load_set(held_out)[1] == 5
    write("is_target/train.npy", np.asarray(y))
    write("is_target/test.npy", np.asarray(y_test))
    thresholds = {"precision": 0.6, "first_digit": [0, 2], "decision": {"one": 0.5, "two": 1}}
    params = write("params.yaml", {"binary": {"thresholds": thresholds}})
    folds = random.randint(0, 3, N_TRAIN).astype(np.uint8)
    scores = {model: random.normal(size=N_TRAIN) + 2 * y for model in ("one", "two")}
    classes = np.array([False, True])
    for model, of in scores.items():
        write(f"models/{model}/out_of_fold.npz", scores=of, folds=folds, classes=classes)
    said = random.uniform(size=N_TEST) < 0.3
    write("models/two/predictions.npz", first_scores=np.array([1.5]), predictions=said)
    metrics = {model: tmp_path / f"{model}.json" for model in ("one", "two")}
    roc, curve = tmp_path / "roc.csv", tmp_path / "precision_recall.csv"
    folders = [tmp_path / "models" / model for model in metrics]
    evaluate_binary.main(params, tmp_path / "is_target", folders, tmp_path, tmp_path)
    for model, path in metrics.items():
        found, threshold = in_json(path), thresholds["decision"][model]  # type: ignore[index]
        expected = evaluate_binary.binary_metrics(y, scores[model], folds, threshold, 0.6)
        if model == "two":
            assert found.pop("test_accuracy") == about(accuracy_score(y_test, said))
            assert found.pop("first_digit") == {"score": 1.5, "above_0": True, "above_2": False}
        for key, value in expected.items():
            assert found.pop(key) == about(value)
        assert not found
    point = in_json(metrics["two"])["operating_point"]["threshold"]
    for path in (roc, curve):
        columns = table(path)
        assert set(columns["model"]) == {"two"}
        # Every digit of a threshold, so that it is an image's score.
        assert set(numbers(columns["threshold"])) <= set(scores["two"])
        (chosen,) = np.flatnonzero(np.array(columns["chosen"]) == "1")
        assert float(columns["threshold"][chosen]) == pytest.approx(point)
    assert "false_positive_rate" in table(roc)
    assert "precision" in table(curve)


@pytest.mark.parametrize("n_wrong", [0, 1, 70])
def test_the_confusions_written_and_drawn_are_scikit_learns(
    train: Path,
    held_out: Path,
    write: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    n_wrong: int,
) -> None:
    drawn: dict[str, Any] = {}
    for name in ("save_panels", "save_matrix"):
        monkeypatch.setattr(
            analyse_errors, name, lambda path, *told: drawn.update({path.name: told})
        )
    images, y = map(np.asarray, load_set(train))
    test_images, y_test = map(np.asarray, load_set(held_out))
    answers = np.where(np.arange(N_TEST) < n_wrong, (y_test + 1) % 10, y_test)
    scores = np.random.RandomState(0).normal(size=(N_TRAIN, 10)) + 1.5 * np.eye(10)[y]
    said = scores.argmax(axis=1)
    names = {str(i): f"number {i}" for i in range(10)}
    paths = {name: tmp_path / f"{name}.csv" for name in ("confusion", "errors")}
    analyse_errors.main(
        write("params.yaml", {"errors": {"pair": [3, 5], "n_examples": 7}}),
        train,
        held_out,
        write("classes.json", {"names": names}),
        write("model/out_of_fold.npz", scores=scores, folds=y, classes=np.arange(10)).parent,
        write("best/predictions.npz", predictions=answers).parent,
        tmp_path,
        tmp_path,
    )
    matrix = confusion_matrix(y, said)
    counts = table(paths["confusion"])
    assert counts["actual"] == list(np.repeat(list(names.values()), 10))
    assert counts["predicted"] == list(names.values()) * 10
    assert numbers(counts["count"]) == matrix.ravel().tolist()
    shares = table(paths["errors"])
    assert len(shares["share"]) == 90
    of_class = confusion_matrix(y, said, normalize="true")
    for *cell, share in zip(shares["actual"], shares["predicted"], shares["share"], strict=True):
        actual, predicted = (list(names.values()).index(name) for name in cell)
        assert float(share) == pytest.approx(of_class[actual, predicted], rel=1e-5)
    pictures, titles, *_ = drawn["errors.png"]
    cells = [(3, 3), (3, 5), (5, 3), (5, 5)]
    assert titles == [f"number {a} classified as number {p}: {matrix[a, p]}" for a, p in cells]
    for (actual, predicted), picture in zip(cells, pictures, strict=True):
        chosen = images[(y == actual) & (said == predicted)][:7]
        # Three a line, and blanks.
        cells_of = np.concatenate([chosen, np.zeros((9 - len(chosen), 28, 28))])
        expected = cells_of.reshape(3, 3, 28, 28).swapaxes(1, 2).reshape(84, 84)
        np.testing.assert_array_equal(picture, expected)
    tiles = drawn["confusions.png"][0]
    assert tiles.shape == (10, 10, 84, 84)
    for actual, predicted in np.ndindex(10, 10):
        shown = min(matrix[actual, predicted], 9)
        at = tiles[actual, predicted].reshape(3, 28, 3, 28).any(axis=(1, 3))
        assert at.sum() == shown
        if shown:
            first = images[(y == actual) & (said == predicted)][0]
            np.testing.assert_array_equal(tiles[actual, predicted][:28, :28], first)
    # Whole lines of eight, at least one, and 60 images at most.
    pictures, titles, *_ = drawn["still_wrong.png"]
    n_shown = min(n_wrong, 60)
    assert len(pictures) == len(titles) == max(8, -(-n_shown // 8) * 8)
    shown = np.zeros((len(pictures), 28, 28))
    shown[:n_shown] = test_images[:n_shown]
    np.testing.assert_array_equal(pictures, shown)
    labels = [f"number {i}, not number {(i + 1) % 10}" for i in y_test[:n_shown]]
    assert titles == labels + [""] * (len(titles) - n_shown)


@pytest.mark.parametrize("weights", [["uniform"], ["distance"], ["uniform", "distance"]])
def test_the_grid_and_its_winner_are_worth_what_scikit_learn_says(
    digits: Mnist,
    train: Path,
    held_out: Path,
    neighbors: Path,
    write: Write,
    tmp_path: Path,
    weights: list[str],
) -> None:
    """The winner among each set of images, of its own labels and neighbours."""
    grid = {"n_neighbors": [1, 3, 5], "weights": weights}
    params = write("params.yaml", {"grid": {**grid, "n_folds": 4}})
    images, y = map(np.asarray, load_set(train))
    theirs = GridSearchCV(KNeighborsClassifier(), grid, cv=4, refit=False).fit(rows(images), y)
    X_test, _ = map(np.asarray, load_set(held_out))
    sets = {"train": (images, y), "augmented": (digits[0][:900], digits[1][:900])}
    write("train_in_train.npz", **np.load(neighbors))
    save_set(tmp_path / "augmented", *sets["augmented"])
    for name, (among, _) in sets.items():
        indices, squared = nearest(X_test, among, 10)
        write(f"test_in_{name}.npz", indices=indices, squared_distances=squared)
    metrics, curve = tmp_path / "grid.json", tmp_path / "grid.csv"
    augmented, models = tmp_path / "augmented", tmp_path / "models"
    search_grid.main(params, train, augmented, tmp_path, models, metrics, curve)
    results, found, columns = theirs.cv_results_, in_json(metrics), table(curve)
    means, best = results["mean_test_score"], theirs.best_params_
    assert found["best"] == {**best, "accuracy": about(theirs.best_score_)}
    for candidate, mean in zip(results["params"], means, strict=True):
        n_neighbors = candidate["n_neighbors"]
        assert found[candidate["weights"]][f"n_neighbors_{n_neighbors}"] == about(mean)
    for name, key in (("mean", "mean_test_score"), ("std", "std_test_score")):
        assert numbers(columns[name]) == pytest.approx(results[key], rel=1e-5)
    assert columns["weights"] == list(results["param_weights"])
    assert numbers(columns["n_neighbors"]) == list(results["param_n_neighbors"])
    for name, (among, labels) in zip(("knn", "knn_augmented"), sets.values(), strict=True):
        said = dict(np.load(tmp_path / "models" / name / "predictions.npz"))
        model = KNeighborsClassifier(**best).fit(rows(among), labels)
        np.testing.assert_array_equal(said.pop("predictions"), model.predict(rows(X_test)))
        values = {name: value.item() for name, value in said.items()}
        assert values == {**best, "n_train": len(labels), "n_pixels": 784}


def test_the_two_labels_written_are_scikit_learns(
    train: Path, neighbors: Path, write: Write, tmp_path: Path
) -> None:
    section = {"large_from": 6, "n_neighbors": 4, "n_folds": 3}
    params, metrics = write("params.yaml", {"multilabel": section}), tmp_path / "multilabel.json"
    images, y = map(np.asarray, load_set(train))
    X, both = rows(images), np.column_stack([y >= 6, y % 2 == 1])
    model = KNeighborsClassifier(4)
    evaluate_multilabel.main(params, train, neighbors, metrics)
    theirs = cross_val_predict(model, X, both, cv=3)
    large, odd = model.fit(X, both).predict(X[:1])[0]
    assert in_json(metrics) == {
        "first_digit": {"large": large, "odd": odd},
        "f1": {name: about(f1_score(both, theirs, average=name)) for name in ("macro", "weighted")},
    }


def test_noise_is_of_the_seed_and_never_shown_to_what_judges(
    train: Path, held_out: Path, write: Write, tmp_path: Path
) -> None:
    """Noisy images of the test are cleaned by noisy ones for training, and held to the clean."""
    section = {"high": 100, "seed": 1, "n_neighbors": 3, "n_digits": 2}
    params, metrics = write("params.yaml", {"denoise": section}), tmp_path / "denoise.json"
    denoise.main(params, train, held_out, metrics, tmp_path / "denoised.npz")
    (images, _), (clean, _) = load_set(train), load_set(held_out)
    random = np.random.RandomState(1)
    noisy_train = images + random.randint(0, 100, images.shape, dtype=np.uint16)
    noisy = clean + random.randint(0, 100, clean.shape, dtype=np.uint16)
    squared = ((rows(noisy)[:, None] - rows(noisy_train)) ** 2).sum(axis=2)
    voters = images[np.argsort(squared, axis=1, kind="stable")[:, :3]]
    # Of three, the one that is there twice, else the least.
    low, middle, high = np.sort(voters, axis=1).swapaxes(0, 1).astype(int)
    cleaned = np.where(middle == high, high, low)
    assert in_json(metrics)["mean_absolute_error"] == {
        "before": about(abs(noisy.astype(int) - clean).mean()),
        "after": about(abs(cleaned - clean).mean()),
    }
    for found, of in zip(
        np.load(tmp_path / "denoised.npz").values(), (noisy, cleaned, clean), strict=True
    ):
        np.testing.assert_array_equal(found, of[:2])
