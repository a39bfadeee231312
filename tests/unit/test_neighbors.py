"""Neighbours against all distances, exactly, and votes where there are ties."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from stages.data.sources import Mnist
from stages.neighbors.evaluate_multilabel import multilabel_metrics
from stages.neighbors.knn import vote
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


@pytest.fixture(params=[(1000, 5000), (12, 100)], ids=["at once", "in blocks"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    per_product, per_task = request.param
    monkeypatch.setattr("stages.neighbors.search.PER_PRODUCT", per_product)
    monkeypatch.setattr("stages.neighbors.search.PER_TASK", per_task)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize(("n", "k"), [(650, 5), (650, 64), (60, 60)])
@pytest.mark.parametrize("within", [False, True])
def test_neighbors_are_exact(digits: Mnist, n: int, k: int, within: bool) -> None:
    """Also within one set. A third of the images are there twice: of ties, the first."""
    images = digits[0][:n].copy()
    images[-n // 3 :] = images[: len(images[-n // 3 :])]
    queries = np.concatenate([digits[0][4000:4200], images[:50]])
    assert_exact(images if within else queries, images, k)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("brightest", [255, 1000])
def test_distances_that_single_precision_cannot_hold(brightest: int) -> None:
    """Bright images that differ by a grey level here and there, far from a dark query."""
    random = np.random.RandomState(0)
    images = (brightest - random.randint(0, 2, size=(3000, 28, 28))).astype(np.uint16)
    queries = np.stack([np.zeros_like(images[0]), images[7]])
    _, squared = brute_force(queries, images, 10)
    assert (squared.astype(np.float32) != squared).any()
    assert_exact(queries, images, 10)


def test_of_equal_candidates_the_first_is_best() -> None:
    y, folds = ((np.arange(60) % n).astype(np.uint8) for n in (3, 5))
    outside = {"indices": np.zeros((60, 5), int), "squared_distances": np.zeros((60, 5), int)}
    results = search_grid(outside, y, folds, [3, 5], ["uniform", "distance"])
    assert results["mean"] == pytest.approx(np.full(4, 1 / 3))
    best = grid_metrics(results)["best"]
    assert (best["n_neighbors"], best["weights"]) == (3, "uniform")


@pytest.mark.parametrize("constant", [False, True])
def test_there_is_no_f1_where_a_label_is_the_same_for_all(constant: bool) -> None:
    y = np.array([[True, constant], [False, constant], [True, constant]])
    for said in (y, ~y):
        assert multilabel_metrics(y[0], y, said)["f1"] == {}
    y[0, 1] = not constant
    assert multilabel_metrics(y[0], y, y)["f1"] == {"macro": 1.0, "weighted": 1.0}


def test_by_distance_the_same_image_outvotes_all_and_nearer_counts_more() -> None:
    """Of distances of 0 and 1, and of 1 and √2: as for scikit-learn, to the last one."""
    for y, squared, answer in (([0, 1, 1], [0, 1, 1], 0), ([1, 0], [1, 2], 1), ([0, 1], [1, 2], 0)):
        found = {"indices": np.arange(len(y))[None], "squared_distances": np.array([squared])}
        labels, k = np.array(y, np.uint8), len(y)
        assert vote(found, labels, k, "distance").tolist() == [answer]
        model = KNeighborsClassifier(k, weights="distance")
        assert model.fit(np.sqrt(np.array(squared))[:, None], labels).predict([[0]]) == [answer]
