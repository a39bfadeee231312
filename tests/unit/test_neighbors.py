"""Neighbours against all distances, exactly, and what reads them against scikit-learn."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from stages.common.folds import fold_numbers
from stages.data.augment import augment
from stages.data.sources import Mnist
from stages.neighbors.denoise import add_noise, denoise
from stages.neighbors.evaluate_multilabel import (
    multilabel_metrics,
    multilabels,
    out_of_fold_predictions,
)
from stages.neighbors.knn import outside_folds, vote
from stages.neighbors.search import nearest
from stages.neighbors.search_grid import grid_metrics, search_grid


def brute_force(queries: NDArray, images: NDArray, k: int) -> tuple[NDArray, NDArray]:
    # Whole numbers far below 2**53, which sums of products in any order hold exactly.
    q, x = (of.reshape(len(of), -1).astype(np.float64) for of in (queries, images))
    squared = (q**2).sum(axis=1)[:, None] + (x**2).sum(axis=1) - 2 * q @ x.T
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(squared, order, axis=1)


def assert_exact(queries: NDArray, images: NDArray, k: int) -> None:
    indices, squared = nearest(queries, images, k)
    expected_indices, expected = brute_force(queries, images, k)
    np.testing.assert_array_equal(squared, expected)
    np.testing.assert_array_equal(indices, expected_indices)


def neighbors_of(images: NDArray, k: int) -> dict[str, NDArray]:
    indices, squared = nearest(images, images, k)
    return {"indices": indices, "squared_distances": squared}


@pytest.fixture(params=[(1000, 5000), (12, 100)], ids=["at once", "in blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    per_product, per_task = request.param
    monkeypatch.setattr("stages.neighbors.search.PER_PRODUCT", per_product)
    monkeypatch.setattr("stages.neighbors.search.PER_TASK", per_task)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("k", [1, 5, 64])
def test_neighbors_of_digits_are_exact(digits: Mnist, k: int) -> None:
    """Ties, as between images that are there four times, go to the lower index."""
    images = np.concatenate([digits[0][:2500], *[digits[0][:500]] * 3])
    assert_exact(np.concatenate([digits[0][4000:4200], digits[0][:50]]), images, k)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize(("n", "k"), [(2500, 3), (1300, 64), (60, 60)])
def test_neighbors_within_one_set_are_exact(digits: Mnist, n: int, k: int) -> None:
    """Each pair of images is looked at once; a third of them are there twice, far apart."""
    images = digits[0][:n].copy()
    images[-n // 3 :] = images[: len(images[-n // 3 :])]
    assert_exact(images, images, k)


def test_more_neighbors_than_images_are_refused(digits: Mnist) -> None:
    with pytest.raises(ValueError, match="3 images have no 4 nearest ones"):
        nearest(digits[0][:5], digits[0][:3], 4)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("brightest", [1, 255, 510, 1000])
def test_distances_that_single_precision_cannot_hold(brightest: int) -> None:
    """Bright images that differ by a grey level here and there, far from a dark query."""
    random = np.random.RandomState(0)
    images = (brightest - random.randint(0, 2, size=(3000, 28, 28))).astype(np.uint16)
    queries = np.stack([np.zeros_like(images[0]), images[7]])
    _, squared = brute_force(queries, images, 10)
    assert brightest == 1 or (squared.astype(np.float32) != squared).any()
    assert_exact(queries, images, 10)


def test_images_without_ink() -> None:
    assert_exact(np.zeros((2, 28, 28), np.uint8), np.zeros((5, 28, 28), np.uint8), 3)


@pytest.mark.parametrize(("k", "n_folds"), [(30, 5), (6, 5), (30, 2)])
def test_the_grid_is_the_notebooks(digits: Mnist, k: int, n_folds: int) -> None:
    """Over neighbours to spare, one that must be searched again, and none in the same fold."""
    images, y = digits[0][:1000], digits[1][:1000]
    folds = fold_numbers(StratifiedKFold(n_folds), y)
    found = neighbors_of(images, k)
    short = (folds[found["indices"]] != folds[:, None]).sum(axis=1) < 5
    assert short.any() == (k == 6)
    ours = search_grid(
        outside_folds(found, images, folds, 5), y, folds, (3, 4, 5), ("uniform", "distance")
    )
    theirs = GridSearchCV(
        KNeighborsClassifier(),
        {"n_neighbors": [3, 4, 5], "weights": ["uniform", "distance"]},
        cv=n_folds,
        refit=False,
    ).fit(images.reshape(1000, -1).astype(np.float64), y)
    np.testing.assert_array_equal(ours["mean"], theirs.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(ours["std"], theirs.cv_results_["std_test_score"])
    best = grid_metrics(ours)["best"]
    assert best == {**theirs.best_params_, "accuracy": theirs.best_score_}


def test_of_equal_candidates_the_first_is_best() -> None:
    means = {"mean": np.array([0.5, 0.75, 0.75])}
    candidates = {"n_neighbors": np.array([3, 4, 5]), "weights": np.array(["uniform"] * 3)}
    best: Any = grid_metrics(candidates | means)["best"]
    assert best["n_neighbors"] == 4


@pytest.mark.parametrize("n_folds", [2, 3])
def test_multilabel_is_the_notebooks(digits: Mnist, n_folds: int) -> None:
    images, y = digits[0][:1000], multilabels(digits[1][:1000], 7)
    ours = out_of_fold_predictions(neighbors_of(images, 40), images, y, 5, n_folds)
    rows = images.reshape(1000, -1).astype(np.float64)
    theirs = cross_val_predict(KNeighborsClassifier(), rows, y, cv=n_folds)
    np.testing.assert_array_equal(ours, theirs)
    metrics = multilabel_metrics(y[0], y, ours)
    assert metrics["f1"] == {
        "macro": f1_score(y, theirs, average="macro"),
        "weighted": f1_score(y, theirs, average="weighted"),
    }


def test_equal_images_have_neighbours_too() -> None:
    images, y = np.zeros((60, 28, 28), np.uint8), (np.arange(60) % 3).astype(np.uint8)
    folds = fold_numbers(StratifiedKFold(5), y)
    outside = outside_folds(neighbors_of(images, 10), images, folds, 5)
    found = search_grid(outside, y, folds, [3, 5], ["uniform", "distance"])
    assert found["mean"] == pytest.approx(np.full(4, 1 / 3))


@pytest.mark.parametrize("constant", [False, True])
def test_there_is_no_f1_where_a_label_is_the_same_for_all(constant: bool) -> None:
    y = np.array([[True, constant], [False, constant], [True, constant]])
    for said in (y, ~y):
        assert multilabel_metrics(y[0], y, said)["f1"] == {}
    y[0, 1] = not constant
    assert multilabel_metrics(y[0], y, y)["f1"] == {"macro": 1.0, "weighted": 1.0}


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_predictions_on_new_images_are_scikit_learns(digits: Mnist, weights: str) -> None:
    images, y = augment(digits[0][:500], digits[1][:500], [(1, 0)], seed=0)
    # Some of them are among the images.
    queries = np.concatenate([digits[0][4000:4300], digits[0][:50]])
    indices, squared = nearest(queries, images, 10)
    found = {"indices": indices, "squared_distances": squared}
    model = KNeighborsClassifier(4, weights=weights).fit(images.reshape(1000, -1) * 1.0, y)
    np.testing.assert_array_equal(
        vote(found, y, 4, weights),  # type: ignore[arg-type]
        model.predict(queries.reshape(350, -1) * 1.0),
    )


# Of 400 images, some pixels have more than 200 values; of 60,000 none.
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
def test_denoising_is_the_notebooks(digits: Mnist) -> None:
    random = np.random.RandomState(0)
    train, clean = digits[0][:400], digits[0][4000:4050]
    noisy_train, noisy = add_noise(train, 100, random), add_noise(clean, 100, random)
    model = KNeighborsClassifier().fit(noisy_train.reshape(400, -1) * 1.0, train.reshape(400, -1))
    ours = denoise(noisy, noisy_train, train, 5)
    np.testing.assert_array_equal(ours.reshape(50, -1), model.predict(noisy.reshape(50, -1) * 1.0))


def test_noise_is_even_and_below_its_bound() -> None:
    noise = add_noise(np.full((50, 28, 28), 255, np.uint8), 4, np.random.RandomState(0)) - 255
    counts = np.bincount(noise.ravel().astype(int))
    assert len(counts) == 4
    np.testing.assert_allclose(counts / noise.size, 0.25, atol=0.02)


def test_by_distance_the_same_image_outvotes_all_and_nearer_counts_more() -> None:
    """Of distances of 0 and 1, and of 1 and √2: as for scikit-learn, to the last one."""
    for y, squared, answer in (([0, 1, 1], [0, 1, 1], 0), ([1, 0], [1, 2], 1), ([0, 1], [1, 2], 0)):
        found = {"indices": np.arange(len(y))[None], "squared_distances": np.array([squared])}
        labels, k = np.array(y, np.uint8), len(y)
        assert vote(found, labels, k, "distance").tolist() == [answer]
        model = KNeighborsClassifier(k, weights="distance")
        assert model.fit(np.sqrt(np.array(squared))[:, None], labels).predict([[0]]) == [answer]
