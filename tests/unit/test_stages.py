"""What a stage writes: of the right files and parameters, against scikit-learn or by hand."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from stages.common.arrays import load_set, save, save_group, save_set
from stages.data import augment, gallery, label, split
from stages.data.sources import Mnist
from stages.evaluate import analyse_errors, evaluate_digits
from stages.evaluate.errors import error, mcnemar
from stages.neighbors import denoise, evaluate_multilabel, search_grid
from stages.neighbors.search import nearest
from stages.output.pictures import sheet

N_TRAIN, N_TEST = 300, 80
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a group of arrays, or else JSON, which is YAML too; return the path."""

    def written(name: str, content: Any = None, **group: Any) -> Path:
        path = tmp_path / name
        if group:
            save_group(path, **group)
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
    """Some of its images are training images, too."""
    rows = np.append(np.arange(20), np.arange(5000 + 20 - N_TEST, 5000))
    save_set(tmp_path / "test", digits[0][rows], digits[1][rows])
    return tmp_path / "test"


def neighbors_of(queries: Path, images: Path, k: int) -> dict[str, NDArray]:
    own, others = (np.asarray(load_set(folder)[0]) for folder in (queries, images))
    indices, squared = nearest(own, others, k)
    return {"indices": indices, "squared_distances": squared}


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
    if isinstance(expected, dict):
        return {key: about(value) for key, value in expected.items()}
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
    np.testing.assert_array_equal(first, sheet(images[:9], 3))
    assert title == "The first 9 digits"
    shown, titles, *_ = drawn["shifts"]
    assert titles == ["original", "5 px right", "5 px left", "5 px down", "5 px up"]
    whole = np.pad(images[11], 5)
    corners = [(5, 5), (5, 0), (5, 10), (0, 5), (10, 5)]
    moved = [whole[row : row + 28, column : column + 28] for row, column in corners]
    np.testing.assert_array_equal(shown, moved)
    shown, titles, *_ = drawn["denoise"]
    assert titles == list(rows_of)
    np.testing.assert_array_equal(shown, [np.hstack(list(of)) for of in rows_of.values()])
    counts, y_test = table(tmp_path / "counts.csv"), load_set(held_out)[1]
    assert counts["digit"] == list(names.values())
    assert numbers(counts["train"]) == [np.sum(labels == i) for i in range(10)]
    assert numbers(counts["test"]) == [np.sum(y_test == i) for i in range(10)]


def test_models_of_all_classes_are_worth_what_scikit_learn_says(
    train: Path, held_out: Path, write: Write, tmp_path: Path
) -> None:
    """Some are trained, some cross-validated, one is both; no class is the number of its column."""
    random, classes = np.random.RandomState(0), 25 * np.arange(10)
    y, y_test = (25 * load_set(folder)[1] for folder in (train, held_out))
    for folder, labels in ((train, y), (held_out, y_test)):
        save(folder / "labels.npy", labels)
    folds = random.randint(0, 3, N_TRAIN).astype(np.uint8)
    expected: dict[str, dict[str, Any]] = {"both": {}, "scored": {}, "knn": {}, "strokes": {}}
    said = {}
    for n, model in enumerate(("both", "knn", "strokes")):
        said[model] = np.where(random.uniform(size=N_TEST) < 0.9 - n / 10, y_test, 75)
        expected[model] = {
            "test_accuracy": accuracy_score(y_test, said[model]),
            "test_recall": dict(
                zip(map(str, classes), recall_score(y_test, said[model], average=None), strict=True)
            ),
            "first_digit": {"prediction": 100, **{f"score_{of}": of / 8 for of in classes}},
            "n_estimators": n,
        }
        write(
            f"models/{model}/predictions.npz",
            classes=classes,
            first_prediction=np.array(100),
            first_scores=classes / 8,
            predictions=said[model],
            n_estimators=np.array(n),
            alone=y_test,
            without_copies=y_test + 25,
        )
    for model in ("both", "scored"):
        scores = random.normal(size=(N_TRAIN, 10)) + 2 * (y[:, None] == classes)
        write(f"models/{model}/out_of_fold.npz", scores=scores, folds=folds, classes=classes)
        right = y == classes[scores.argmax(axis=1)]
        of_folds = {f"fold_{i + 1}": right[folds == i].mean() for i in range(3)}
        expected[model]["accuracy"] = of_folds | {"mean": np.mean(list(of_folds.values()))}
    # Of another branch, say, and not asked for.
    write("models/other/predictions.npz", predictions=y_test)
    candidates = {"gamma": np.array([2, 3]), "error": np.array([0.5, 0.25])}
    chosen = write("chosen/grid.npz", **candidates).parent
    best = {"gamma": 3, "n_virtual_copies": 4, "weight": 1}
    write("chosen/chosen.json", best)
    *models, knn, strokes = (tmp_path / "models" / model for model in expected)
    metrics = tmp_path / "metrics"
    found = tmp_path / "strokes.json"
    evaluate_digits.main(
        train, held_out, models, strokes, knn, chosen, metrics, found, plots=tmp_path
    )
    of_models = {path.stem: in_json(path) for path in metrics.iterdir()}
    assert of_models == about(expected)
    assert in_json(found) == best | about(
        {
            "test_error": error(said["strokes"], y_test),
            "against_knn_augmented": mcnemar(said["strokes"], said["knn"], y_test),
        }
    )
    assert table(tmp_path / "strokes_grid.csv") == {"gamma": ["2", "3"], "error": ["0.5", "0.25"]}
    errors = numbers(table(tmp_path / "strokes_steps.csv")["errors"])
    of_knn, of_strokes = (np.sum(said[model] != y_test) for model in ("knn", "strokes"))
    assert errors == [of_knn, N_TEST, 0, of_strokes]


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
    matrix, shares = (confusion_matrix(y, said, normalize=by) for by in (None, "true"))
    cells = [(f"number {a}", f"number {p}") for a, p in np.ndindex(10, 10)]
    counts, errors = (table(tmp_path / f"{name}.csv") for name in ("confusion", "errors"))
    assert list(zip(counts["actual"], counts["predicted"], strict=True)) == cells
    assert numbers(counts["count"]) == matrix.ravel().tolist()
    off_diagonal = [cell for cell in cells if cell[0] != cell[1]]
    assert list(zip(errors["actual"], errors["predicted"], strict=True)) == off_diagonal
    assert numbers(errors["share"]) == pytest.approx(shares[~np.eye(10, dtype=bool)], rel=1e-5)

    def panel(actual: int, predicted: int, n: int) -> NDArray[np.uint8]:
        """The first ``n``, three a line, and then blanks, of which nine are enough."""
        chosen = images[(y == actual) & (said == predicted)][:n]
        return sheet(np.concatenate([chosen, np.zeros((9 - len(chosen), 28, 28), np.uint8)]), 3)

    pictures, titles, *_ = drawn["errors.png"]
    pairs = [(3, 3), (3, 5), (5, 3), (5, 5)]
    assert titles == [f"number {a} classified as number {p}: {matrix[a, p]}" for a, p in pairs]
    np.testing.assert_array_equal(pictures, [panel(a, p, 7) for a, p in pairs])
    expected = [[panel(a, p, 9) for p in range(10)] for a in range(10)]
    np.testing.assert_array_equal(drawn["confusions.png"][0], expected)
    # Whole lines of eight, at least one, and 60 images at most.
    pictures, titles, *_ = drawn["still_wrong.png"]
    n_shown = min(n_wrong, 60)
    shown = np.zeros((max(8, -(-n_shown // 8) * 8), 28, 28))
    shown[:n_shown] = test_images[:n_shown]
    np.testing.assert_array_equal(pictures, shown)
    labels = [f"number {i}, not number {(i + 1) % 10}" for i in y_test[:n_shown]]
    assert titles == labels + [""] * (len(shown) - n_shown)


@pytest.mark.parametrize(
    ("weights", "k", "n_folds"),
    [(["uniform"], 40, 4), (["distance"], 6, 4), (["uniform", "distance"], 40, 2)],
)
def test_the_grid_and_its_winner_are_worth_what_scikit_learn_says(
    digits: Mnist,
    train: Path,
    held_out: Path,
    write: Write,
    tmp_path: Path,
    weights: list[str],
    k: int,
    n_folds: int,
) -> None:
    """The winner among each set of images, of its own labels and neighbours.

    Of ``k`` neighbours, too few may be outside of a fold: then they are searched again.
    """
    grid = {"n_neighbors": [1, 3, 5], "weights": weights}
    params = write("params.yaml", {"grid": {**grid, "n_folds": n_folds}})
    images, y = map(np.asarray, load_set(train))
    theirs = GridSearchCV(KNeighborsClassifier(), grid, cv=n_folds, refit=False)
    theirs.fit(rows(images), y)
    X_test, _ = map(np.asarray, load_set(held_out))
    augmented = tmp_path / "augmented"
    save_set(augmented, digits[0][:900], digits[1][:900])
    write("train_in_train.npz", **neighbors_of(train, train, k))
    for folder in (train, augmented):
        write(f"test_in_{folder.name}.npz", **neighbors_of(held_out, folder, 10))
    metrics, curve = tmp_path / "grid.json", tmp_path / "grid.csv"
    search_grid.main(params, train, augmented, tmp_path, tmp_path / "models", metrics, curve)
    results, columns, best = theirs.cv_results_, table(curve), theirs.best_params_
    expected: dict[str, Any] = {"best": {**best, "accuracy": theirs.best_score_}}
    for candidate, mean in zip(results["params"], results["mean_test_score"], strict=True):
        of_weights = expected.setdefault(candidate["weights"], {})
        of_weights[f"n_neighbors_{candidate['n_neighbors']}"] = mean
    assert in_json(metrics) == about(expected)
    for name, key in (("mean", "mean_test_score"), ("std", "std_test_score")):
        assert numbers(columns[name]) == pytest.approx(results[key], rel=1e-5)
    assert columns["weights"] == list(results["param_weights"])
    assert numbers(columns["n_neighbors"]) == list(results["param_n_neighbors"])
    for name, folder in (("knn", train), ("knn_augmented", augmented)):
        said = dict(np.load(tmp_path / "models" / name / "predictions.npz"))
        among, labels = load_set(folder)
        model = KNeighborsClassifier(**best).fit(rows(among), labels)
        np.testing.assert_array_equal(said.pop("predictions"), model.predict(rows(X_test)))
        values = {name: value.item() for name, value in said.items()}
        assert values == {**best, "n_train": len(labels), "n_pixels": 784}


@pytest.mark.parametrize("n_folds", [2, 3])
def test_the_two_labels_written_are_scikit_learns(
    train: Path, write: Write, tmp_path: Path, n_folds: int
) -> None:
    section = {"large_from": 6, "n_neighbors": 4, "n_folds": n_folds}
    params, metrics = write("params.yaml", {"multilabel": section}), tmp_path / "multilabel.json"
    neighbors = write("neighbors.npz", **neighbors_of(train, train, 40))
    images, y = map(np.asarray, load_set(train))
    X, both = rows(images), np.column_stack([y >= 6, y % 2 == 1])
    model = KNeighborsClassifier(4)
    evaluate_multilabel.main(params, train, neighbors, metrics)
    theirs = cross_val_predict(model, X, both, cv=n_folds)
    large, odd = model.fit(X, both).predict(X[:1])[0]
    assert in_json(metrics) == {
        "first_digit": {"large": large, "odd": odd},
        "f1": {name: about(f1_score(both, theirs, average=name)) for name in ("macro", "weighted")},
    }


# Of so few images, some pixels have more than 80 values; of 60,000 none.
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
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
    model = KNeighborsClassifier(3).fit(rows(noisy_train), images.reshape(N_TRAIN, -1))
    cleaned = model.predict(rows(noisy)).reshape(clean.shape)
    assert in_json(metrics)["mean_absolute_error"] == {
        "before": about(abs(noisy.astype(int) - clean).mean()),
        "after": about(abs(cleaned.astype(int) - clean).mean()),
    }
    for found, of in zip(
        np.load(tmp_path / "denoised.npz").values(), (noisy, cleaned, clean), strict=True
    ):
        np.testing.assert_array_equal(found, of[:2])
