"""What a stage writes: of the right files and parameters, against scikit-learn or by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, recall_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from stages.common.arrays import load_group, load_set, save, save_group, save_set
from stages.data import gallery
from stages.data.augment import shifted
from stages.data.sources import Mnist
from stages.evaluate import analyse_errors, evaluate_digits
from stages.evaluate.errors import error, mcnemar
from stages.neighbors import denoise, evaluate_multilabel, search_grid
from stages.neighbors.search import nearest
from stages.output.pictures import sheet

N_TRAIN, N_TEST = 300, 80
NAMES = {str(i): f"number {i}" for i in range(10)}


def write(path: Path, content: Any = None, **group: Any) -> Path:
    """Write a group of arrays, or else JSON, which is YAML too; return the path."""
    if group:
        save_group(path, **group)
    else:
        path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def folder(digits: Mnist, tmp_path: Path) -> Path:
    """With images for training and, some of them the same, for the test; and names of classes."""
    rows = np.append(np.arange(20), np.arange(5000 + 20 - N_TEST, 5000))
    save_set(tmp_path / "train", digits[0][:N_TRAIN], digits[1][:N_TRAIN])
    save_set(tmp_path / "test", digits[0][rows], digits[1][rows])
    write(tmp_path / "classes.json", {"noun": "digit", "names": NAMES})
    return tmp_path


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is drawn in place of each picture, by its name."""
    told: dict[str, Any] = {}
    for module, name in (
        (gallery, "save_panels"),
        (analyse_errors, "save_panels"),
        (analyse_errors, "save_matrix"),
    ):
        monkeypatch.setattr(module, name, lambda path, *of: told.update({path.stem: of}))
    return told


def neighbors_of(queries: Path, images: Path, k: int) -> dict[str, NDArray]:
    own, others = (np.asarray(load_set(folder)[0]) for folder in (queries, images))
    indices, squared = nearest(own, others, k)
    return {"indices": indices, "squared_distances": squared}


def rows(images: NDArray) -> NDArray[np.float64]:
    return images.reshape(len(images), -1).astype(np.float64)


def in_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def about(expected: Any) -> Any:
    """Metrics are written to 10 decimals."""
    if isinstance(expected, dict):
        return {key: about(value) for key, value in expected.items()}
    return pytest.approx(expected, abs=1e-9)


def test_the_gallery_has_the_images_of_the_parameters(folder: Path, drawn: dict[str, Any]) -> None:
    shift = {"image": 11, "pixels": 5}
    values = {"gallery": {"n_digits": 9}, "augment": {"picture": shift}}
    images, labels = map(np.asarray, load_set(folder / "train"))
    gallery.main(
        write(folder / "params.yaml", values),
        folder / "train",
        folder / "test",
        write(folder / "denoised.npz", clean=images[:3]),
        folder / "classes.json",
        folder,
        folder / "counts.csv",
    )
    (first,), (title,), *_ = drawn["first_digit"]
    np.testing.assert_array_equal(first, images[0])
    assert title == f"The first digit: a number {labels[0]}"
    shown, titles, *_ = drawn["shifts"]
    moved = [shifted(images[11:12], *by)[0] for by in ((0, 0), (5, 0), (-5, 0), (0, 5), (0, -5))]
    np.testing.assert_array_equal(shown, moved)
    assert titles == ["original", "5 px right", "5 px left", "5 px down", "5 px up"]
    counts = {"digit": list(NAMES.values()), "train": np.bincount(labels)}
    counts["test"] = np.bincount(load_set(folder / "test")[1])
    pd.testing.assert_frame_equal(pd.read_csv(folder / "counts.csv"), pd.DataFrame(counts))


def test_the_svm_on_strokes_is_compared_with_knn(folder: Path) -> None:
    """No class is the number of its column."""
    train, test, classes = folder / "train", folder / "test", 25 * np.arange(10)
    y_test = 25 * load_set(test)[1]
    save(test / "labels.npy", y_test)
    said = {}
    for n_wrong, model in ((20, "knn"), (10, "strokes")):
        said[model] = np.where(np.arange(N_TEST) < N_TEST - n_wrong, y_test, 75)
        write(
            folder / f"{model}/predictions.npz",
            classes=classes,
            first_prediction=np.array(100),
            first_scores=classes / 8,
            predictions=said[model],
            n_estimators=np.array(3),
            alone=y_test,
            without_copies=y_test + 25,
        )
    candidates = {"gamma": np.array([2, 3]), "error": np.array([0.5, 0.25])}
    chosen = write(folder / "chosen/grid.npz", **candidates).parent
    best = {"gamma": 3, "n_virtual_copies": 0, "weight": 1}
    write(folder / "chosen/chosen.json", best)
    knn, strokes, metrics = folder / "knn", folder / "strokes", folder / "metrics"
    found = folder / "strokes.json"
    evaluate_digits.main(train, test, [], strokes, knn, chosen, metrics, found, plots=folder)
    for model, answers in said.items():
        recalls = recall_score(y_test, answers, average=None)
        assert in_json(metrics / f"{model}.json") == {
            "test_accuracy": np.mean(answers == y_test),
            "test_recall": about(dict(zip(map(str, classes), recalls, strict=True))),
            "first_digit": {"prediction": 100, **{f"score_{of}": of / 8 for of in classes}},
            "n_estimators": 3,
        }
    assert in_json(found) == best | about(
        {
            "test_error": error(said["strokes"], y_test),
            "against_knn_augmented": mcnemar(said["strokes"], said["knn"], y_test),
        }
    )
    grid, steps = (pd.read_csv(folder / f"strokes_{plot}.csv") for plot in ("grid", "steps"))
    pd.testing.assert_frame_equal(grid, pd.DataFrame(candidates))
    # The step of virtual copies, of which there are none, is left out.
    of_knn, of_strokes = (np.sum(answers != y_test) for answers in said.values())
    assert steps["errors"].tolist() == [of_knn, N_TEST, of_strokes]


@pytest.mark.parametrize(("n_wrong", "n_shown", "n_places"), [(0, 0, 8), (70, 60, 64)])
def test_the_confusions_written_and_drawn_are_scikit_learns(
    folder: Path, drawn: dict[str, Any], n_wrong: int, n_shown: int, n_places: int
) -> None:
    images, y = map(np.asarray, load_set(folder / "train"))
    test_images, y_test = map(np.asarray, load_set(folder / "test"))
    answers = np.where(np.arange(N_TEST) < n_wrong, (y_test + 1) % 10, y_test)
    scores = np.random.RandomState(0).normal(size=(N_TRAIN, 10)) + 1.5 * np.eye(10)[y]
    said = scores.argmax(axis=1)
    analyse_errors.main(
        write(folder / "params.yaml", {"errors": {"pair": [3, 5], "n_examples": 9}}),
        folder / "train",
        folder / "test",
        folder / "classes.json",
        write(
            folder / "model/out_of_fold.npz", scores=scores, folds=y, classes=np.arange(10)
        ).parent,
        write(folder / "best/predictions.npz", predictions=answers).parent,
        folder,
        folder,
    )
    matrix = confusion_matrix(y, said)
    shares = np.where(np.eye(10), np.nan, confusion_matrix(y, said, normalize="true"))
    for name, column, expected in (("confusion", "count", matrix), ("errors", "share", shares)):
        found = pd.read_csv(folder / f"{name}.csv").pivot(
            index="actual", columns="predicted", values=column
        )
        assert [*found] == [*found.index] == [*NAMES.values()]
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def panel(actual: int, predicted: int) -> NDArray[np.uint8]:
        """The first nine, three a line, and then blanks, of which nine are enough."""
        chosen = images[(y == actual) & (said == predicted)][:9]
        return sheet(np.concatenate([chosen, np.zeros((9 - len(chosen), 28, 28), np.uint8)]), 3)

    pictures, titles, *_ = drawn["errors"]
    pairs = [(3, 3), (3, 5), (5, 3), (5, 5)]
    assert titles == [f"number {a} classified as number {p}: {matrix[a, p]}" for a, p in pairs]
    np.testing.assert_array_equal(pictures, [panel(a, p) for a, p in pairs])
    panels = [[panel(a, p) for p in range(10)] for a in range(10)]
    np.testing.assert_array_equal(drawn["confusions"][0], panels)
    # Whole lines of eight, at least one, and 60 images at most.
    pictures, titles, *_ = drawn["still_wrong"]
    blank = np.zeros((n_places - n_shown, 28, 28))
    np.testing.assert_array_equal(pictures, [*test_images[:n_shown], *blank])
    labels = [f"number {i}, not number {(i + 1) % 10}" for i in y_test[:n_shown]]
    assert titles == labels + [""] * len(blank)


def test_the_grid_and_its_winner_are_worth_what_scikit_learn_says(
    digits: Mnist, folder: Path
) -> None:
    """The winner among each set of images, of its own labels and neighbours.

    Of 6 neighbours, too few may be outside of a fold: then they are searched again.
    """
    grid = {"n_neighbors": [5, 1, 3], "weights": ["uniform", "distance"]}
    params = write(folder / "params.yaml", {"grid": {**grid, "n_folds": 4}})
    images, y = map(np.asarray, load_set(folder / "train"))
    theirs = GridSearchCV(KNeighborsClassifier(), grid, cv=4, refit=False)
    theirs.fit(rows(images), y)
    train, augmented = folder / "train", folder / "augmented"
    save_set(augmented, digits[0][:900], digits[1][:900])
    write(folder / "train_in_train.npz", **neighbors_of(train, train, 6))
    for of in (train, augmented):
        write(folder / f"test_in_{of.name}.npz", **neighbors_of(folder / "test", of, 10))
    metrics, curve = folder / "grid.json", folder / "grid.csv"
    search_grid.main(params, train, augmented, folder, folder / "models", metrics, curve)
    results, best = theirs.cv_results_, theirs.best_params_
    expected: dict[str, Any] = {"best": {**best, "accuracy": theirs.best_score_}}
    for candidate, mean in zip(results["params"], results["mean_test_score"], strict=True):
        of_weights = expected.setdefault(candidate["weights"], {})
        of_weights[f"n_neighbors_{candidate['n_neighbors']}"] = mean
    assert in_json(metrics) == about(expected)
    columns = pd.DataFrame(results["params"])[["n_neighbors", "weights"]]
    columns = columns.assign(mean=results["mean_test_score"], std=results["std_test_score"])
    pd.testing.assert_frame_equal(pd.read_csv(curve), columns, rtol=1e-5)
    for name, of in (("knn", train), ("knn_augmented", augmented)):
        said = load_group(folder / "models" / name / "predictions.npz")
        among, labels = load_set(of)
        model = KNeighborsClassifier(**best).fit(rows(among), labels)
        answers = model.predict(rows(load_set(folder / "test")[0]))
        np.testing.assert_array_equal(said.pop("predictions"), answers)
        values = {name: value.item() for name, value in said.items()}
        assert values == {**best, "n_train": len(labels), "n_pixels": 784}


def test_the_two_labels_written_are_scikit_learns(folder: Path) -> None:
    section = {"large_from": 6, "n_neighbors": 4, "n_folds": 2}
    params = write(folder / "params.yaml", {"multilabel": section})
    train, metrics = folder / "train", folder / "multilabel.json"
    neighbors = write(folder / "neighbors.npz", **neighbors_of(train, train, 40))
    evaluate_multilabel.main(params, train, neighbors, metrics)
    images, y = map(np.asarray, load_set(folder / "train"))
    X, both = rows(images), np.column_stack([y >= 6, y % 2 == 1])
    model = KNeighborsClassifier(4)
    theirs = cross_val_predict(model, X, both, cv=2)
    large, odd = model.fit(X, both).predict(X[:1])[0]
    assert in_json(metrics) == {
        "first_digit": {"large": large, "odd": odd},
        "f1": {name: about(f1_score(both, theirs, average=name)) for name in ("macro", "weighted")},
    }


# Of so few images, some pixels have more than 80 values; of 60,000 none.
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
def test_noise_is_of_the_seed_and_never_shown_to_what_judges(folder: Path) -> None:
    """Noisy images of the test are cleaned by noisy ones for training, and held to the clean."""
    section = {"high": 100, "seed": 1, "n_neighbors": 3, "n_digits": 2}
    params, metrics = write(folder / "params.yaml", {"denoise": section}), folder / "denoise.json"
    denoise.main(params, folder / "train", folder / "test", metrics, folder / "denoised.npz")
    (images, _), (clean, _) = load_set(folder / "train"), load_set(folder / "test")
    random = np.random.RandomState(1)
    noisy_train = images + random.randint(0, 100, images.shape, dtype=np.uint16)
    noisy = clean + random.randint(0, 100, clean.shape, dtype=np.uint16)
    model = KNeighborsClassifier(3).fit(rows(noisy_train), images.reshape(N_TRAIN, -1))
    cleaned = model.predict(rows(noisy)).reshape(clean.shape)
    assert in_json(metrics)["mean_absolute_error"] == {
        "before": about(abs(noisy.astype(int) - clean).mean()),
        "after": about(abs(cleaned.astype(int) - clean).mean()),
    }
    for name, of in {"noisy": noisy, "cleaned": cleaned, "clean": clean}.items():
        np.testing.assert_array_equal(load_group(folder / "denoised.npz")[name], of[:2])
