"""Features of strokes, the SVM on them and its second opinion, against independent oracles."""

import hashlib
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML
from scipy import ndimage
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from stages.common.arrays import load_group, save, save_set
from stages.data.sources import Mnist
from stages.models.svc import OneVsOneSVC
from stages.strokes.choose_svm import main as choose
from stages.strokes.extract_features import (
    CELLS,
    SHADES,
    SIDE,
    SPREAD,
    X,
    Y,
    blurred,
    directions,
    features,
    gradients,
    normalising,
    warped,
)
from stages.strokes.svm import (
    COEFFICIENT,
    KERNEL,
    Images,
    Ranking,
    apply_second_opinion,
    as_integers,
    deformed,
    fitted,
    nearest,
    ranked,
    second_opinion,
    virtual_maps,
    with_copies,
)
from stages.strokes.train_svm import drawn
from tests.support import IS_X86

# Of the features of copies, as found on x86-64.
DIGEST = "01eafaecd253962b267be0d4c6c5ee1b89b2a360fcec1019ca62ed98dc85c4a0"
IDENTITY = np.array([[[SIDE / 2, 0, 13.5], [0, SIDE / 2, 13.5]]])


def fit(X: NDArray[np.uint16], y: NDArray, C: float, gamma: float) -> OneVsOneSVC:
    return fitted([(X, y, gamma)], C)[0]


def theirs(X: NDArray[np.uint16], y: NDArray, C: float, gamma: float) -> SVC:
    """scikit-learn's, on features as they are, of length 1,000."""
    return SVC(C=C, gamma=gamma / 1000**2).fit(X.astype(float), y)


@pytest.fixture(scope="module")
def some(digits: Mnist) -> Images:
    pixels = digits[0][:1200]
    return Images(pixels, features(pixels, normalising(pixels)))


def mapped(image: NDArray[np.uint8], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """By SciPy."""
    down, right = (np.mgrid[:SIDE, :SIDE] + 0.5) / (SIDE / 2) - 1
    column, row = (a * right + b * down + c for a, b, c in affine)
    return ndimage.map_coordinates(image.astype(float), [row, column], order=1, mode="constant")


def test_a_normalised_image_is_centred_upright_and_of_one_size(digits: Mnist) -> None:
    images = digits[0][:200]
    row, column = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    found = []
    for image, affine in zip(images, normalising(images), strict=True):
        ink = mapped(image, affine)
        ink /= ink.sum()
        x, y = (column * ink).sum(), (row * ink).sum()
        across, down = ((column - x) ** 2 * ink).sum(), ((row - y) ** 2 * ink).sum()
        covariance = ((column - x) * (row - y) * ink).sum()
        slant, spread = covariance / np.sqrt(across * down), np.sqrt(max(across, down))
        found.append([abs(x), abs(y), abs(slant), abs(spread / SPREAD - 1)])
    # Long strokes leave the frame, and bilinear interpolation blurs.
    assert (np.median(found, axis=0) < [0.1, 0.1, 0.02, 0.02]).all()
    assert (np.quantile(found, 0.95, axis=0) < [0.5, 0.5, 0.15, 0.05]).all()


@pytest.mark.parametrize("maps", ["identity", "normalising", "warped"])
def test_gradients_are_scipys_sobel(digits: Mnist, maps: str) -> None:
    images = digits[0][:20]
    of = np.repeat(IDENTITY, 20, axis=0) if maps == "identity" else normalising(images)
    if maps == "warped":
        of = warped(of, np.random.default_rng(0).uniform(-0.2, 0.2, (20, 2, 3)))
    for image, affine, (x, y) in zip(images, of, gradients(images, of), strict=True):
        expected = SHADES * mapped(image, affine)
        # The positions are rounded to 256ths, and so a shade of 255 to 1; the result to a quarter.
        tolerance = 8 * (SHADES * 2 * 255 / 512 + 1)
        for found, axis in ((x, 1), (y, 0)):
            difference = abs(found - ndimage.sobel(expected, axis=axis, mode="nearest"))
            assert difference.max() <= tolerance
            assert difference.mean() < 4


def test_a_warp_moves_the_point_before_the_map() -> None:
    maps, warp = np.random.default_rng(0).normal(size=(2, 5, 2, 3))
    point = np.array([0.3, -0.7, 1])
    moved = point + np.pad(warp @ point, ((0, 0), (0, 1)))
    expected = np.einsum("nij,nj->ni", maps, moved)
    np.testing.assert_allclose(warped(maps, warp) @ point, expected)


def test_the_parts_of_a_gradient_sum_to_it() -> None:
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, (1, SIDE, SIDE))
    gradient = np.rint(3000 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.int32)
    parts = directions(gradient)
    assert parts.min() >= 0
    # Along the two nearest directions: none is an eighth of a turn away or farther.
    turned = abs((angles[:, None] / (np.pi / 4) - np.arange(8)[:, None, None] + 4) % 8 - 4)
    assert (parts[turned > 1] == 0).all()
    assert (parts[turned < 0.9] > 0).all()
    # Twice the area of two neighbours, 99 * 70, is shifted by 7 bits.
    total = np.einsum("ndij,ad->naij", parts * (2**7 / (99 * 70)), np.stack([X, Y]))
    assert abs(total - gradient).max() < 4


def test_a_cell_is_a_gaussian_sum() -> None:
    plane = np.random.default_rng(0).integers(0, 5000, (1, SIDE, SIDE), dtype=np.int32)
    row, column = np.mgrid[:SIDE, :SIDE]
    cell = SIDE / CELLS
    for i, j in np.ndindex(CELLS, CELLS):
        down, right = ((k + 0.5) * cell - 0.5 for k in (i, j))
        squared = ((row - down) ** 2 + (column - right) ** 2) / (cell / 2) ** 2
        expected = (plane * np.exp(-squared / 2)).sum() * 64**2
        assert blurred(plane)[0, i, j] == pytest.approx(expected, rel=0.03)


def test_features_have_one_length_and_a_blank_image_none(digits: Mnist) -> None:
    odd = np.zeros((6, 28, 28), dtype=np.uint8)
    odd[1] = 255
    odd[2, 13, 13] = odd[3, :, 27] = odd[4, 0] = 1
    odd[5] = np.eye(28) * 255
    images = np.concatenate([odd, digits[0][:594]])
    found = features(images, normalising(images))
    assert found.dtype == np.uint16
    lengths = np.linalg.norm(found.astype(float), axis=1)
    assert lengths[0] == 0
    np.testing.assert_allclose(lengths[1:], 1000, rtol=0.01)
    # Nor does an image depend on the others.
    np.testing.assert_array_equal(found[590:], features(images[590:], normalising(images[590:])))


def expected_ranking(pairs: NDArray[np.float64], classes: NDArray) -> Ranking:
    """By votes, then by how clear they are, then the lower class, from decisions (m, n_pairs)."""
    n = len(classes)
    wins = np.zeros((len(pairs), n, n))
    wins[:, *np.triu_indices(n, 1)] = pairs
    wins -= wins.swapaxes(1, 2)
    votes, clearness = (wins > 0).sum(axis=2), wins.clip(-1, 1).sum(axis=2)
    first, second = np.array(
        [
            sorted(range(n), key=lambda i: (-vote[i], -clear[i], i))[:2]
            for vote, clear in zip(votes, clearness, strict=True)
        ]
    ).T
    return Ranking(classes[first], classes[second], wins[np.arange(len(wins)), first, second])


@pytest.mark.parametrize(("known", "C"), [([3, 5], 10), ([0, 4, 9], 1000), (range(10), 10)])
def test_the_answers_are_the_svcs(some: Images, digits: Mnist, known: list[int], C: float) -> None:
    rows = np.flatnonzero(np.isin(digits[1][:1200], known))
    X, y, few = some.features[rows], digits[1][rows] * np.uint8(25), 10 * len(known)
    # Some are another image's, so that coefficients are large.
    y[:7] = y[few - 7 : few]
    ours, svc = fit(X[:few], y[:few], C, gamma=3), theirs(X[:few], y[:few], C, gamma=3)
    if IS_X86:
        np.testing.assert_array_equal(ours.dual_coef_, svc.dual_coef_)
    ranking, answers = ranked(as_integers(ours), X[few:]), svc.predict(X[few:])
    pairs = svc.set_params(decision_function_shape="ovo").decision_function(X[few:])
    expected = expected_ranking(-pairs[:, None] if len(known) == 2 else pairs, svc.classes_)
    np.testing.assert_array_equal(ranking.first, expected.first)
    np.testing.assert_array_equal(ranking.second, expected.second)
    np.testing.assert_allclose(ranking.margin, expected.margin, atol=2e-3)
    # Ties are decided otherwise.
    assert np.mean(ranking.first == answers) > 0.97


@pytest.mark.parametrize("n", [2, 5, 10])
def test_votes_decide_then_how_clear_they_are_then_the_lower_class(n: int) -> None:
    """Of pairs drawn at random: what no image decides, the intercepts do."""
    random, classes = np.random.RandomState(n), np.arange(n) * 3
    levels = [-3, -1, -1 / 64, -1 / 64, 1 / 64, 1 / 64, 1, 3]
    for pairs in random.choice(levels, (60, 1, n * (n - 1) // 2)):
        learned = {
            "support": np.zeros((n, 1), np.uint16),
            "n_support": np.ones(n, int),
            "coefficients": np.zeros((n, n - 1), np.int32),
            "intercepts": (pairs[0] * KERNEL * COEFFICIENT).astype(np.int64),
            "classes": classes,
            "gamma": np.array(1.0),
        }
        found = ranked(learned, np.zeros((1, 1), np.uint16))
        np.testing.assert_array_equal(found, expected_ranking(pairs, classes))


def test_a_deformed_distance_is_the_least_sum_around_each_pixel() -> None:
    rng, side, edge = np.random.default_rng(0), 9, 2
    query, other = rng.integers(-4000, 4001, (2, 2, side, side)).astype(np.int32)
    far = np.pad(other, ((0, 0), (edge, edge), (edge, edge))).astype(int)
    around = np.ones((3, 3), dtype=int)
    for moves in (0, 1, 2):
        sums = []
        for down, right in product(range(edge - moves, edge + moves + 1), repeat=2):
            squared = (query - far[:, down : down + side, right : right + side]) ** 2
            sums.append(ndimage.convolve(squared.sum(axis=0), around, mode="constant"))
        assert deformed(query[None], other[None], moves).tolist() == [np.min(sums, axis=0).sum()]
    # The largest gradients fit: Sobel of 255 * SHADES.
    most = np.full((2, SIDE, SIDE), 4 * 255 * SHADES, dtype=np.int32)
    inside = SIDE - 2 * 3
    assert deformed(most[None], -most[None], 2)[0] >= inside**2 * 9 * 2 * (8 * 255 * SHADES) ** 2


def test_the_nearest_of_a_class_are_brute_forces(some: Images, digits: Mnist) -> None:
    """Of some, of many, of fewer than asked for; with ties, which go to the lower row."""
    random, train = np.random.RandomState(0), some.features[200:]
    many, asked = (random.randint(0, 30, (n, 3)).astype(np.uint16) for n in (4000, 20))
    for queries, labels, among, y, n in (
        (some.features[:200], digits[1][:200][::-1], train, digits[1][200:1200], 10),
        (some.features[:1], np.array([0]), train[:5], np.array([0, 1, 0, 1, 1]), 10),
        *((asked, np.zeros(20, int), many, np.zeros(4000, int), n) for n in (1, 7)),
    ):
        found = nearest(queries, labels, among, y, n)
        for query, label, (rows, squared) in zip(queries, labels, found, strict=True):
            distances = ((among.astype(int) - query.astype(int)) ** 2).sum(axis=1)
            of_class = np.flatnonzero(y == label)
            order = of_class[np.argsort(distances[of_class], kind="stable")][:n]
            np.testing.assert_array_equal(rows, order)
            np.testing.assert_array_equal(squared, distances[order])


def test_a_second_opinion_is_asked_within_the_margin(some: Images, digits: Mnist) -> None:
    """It compares the least distances to both classes, of the nearest images as they deform."""
    y, values = digits[1][:300], {"n_nearest": 4, "max_displacement": 1}
    train, asked, truth = some.at(np.arange(300)), some.at(np.arange(300, 340)), digits[1][300:340]
    wrong, sure = (truth + 1) % 10, np.arange(40) % 2 == 0
    ranking = Ranking(wrong, truth, np.where(sure, 1.0, 0.5))
    opinion = second_opinion(ranking, asked, train, y, values)
    assert (opinion[sure] == 0).all()
    least = []
    for labels in (wrong, truth):
        near = nearest(asked.features, labels, train.features, y, 4)
        for pixels, (rows, _) in zip(asked.pixels[:, None], near, strict=True):
            query, others = (gradients(of, normalising(of)) for of in (pixels, train.pixels[rows]))
            least.append(min(deformed(query, other[None], 1)[0] for other in others))
    far, close = np.reshape(least, (2, 40))
    np.testing.assert_allclose(opinion[~sure], ((close - far) / (close + far))[~sure])
    np.testing.assert_array_equal(apply_second_opinion(ranking, opinion, 0), ranking)
    # The last one balances the margin; then, too, the two classes remain.
    for of, weight in ((opinion, 1e6), (-ranking.margin / 2, 2)):
        said, margin = apply_second_opinion(ranking, of, weight), ranking.margin + weight * of
        np.testing.assert_allclose(said.margin, abs(margin))
        np.testing.assert_array_equal(
            said.first[margin != 0], np.where(margin > 0, wrong, truth)[margin != 0]
        )
        assert (said.first + said.second == wrong + truth).all()


def test_the_features_of_images_and_copies_are_as_found(some: Images, digits: Mnist) -> None:
    y, values = digits[1][:400], {"jitter": 0.12, "seed": 0}
    train = some.at(np.arange(400))
    X, labels = with_copies(train, y, 2, values)
    assert hashlib.sha256(X.tobytes()).hexdigest() == DIGEST
    np.testing.assert_array_equal(labels, np.tile(y, 3))
    assert not np.array_equal(X, with_copies(train, y, 2, values | {"seed": 1})[0])
    # What the report makes them of.
    support = np.arange(0, 1200, 7)
    made = drawn(support, train.pixels, virtual_maps(normalising(train.pixels), 2, values))
    of_made = features(made["images"][made["image"]], made["maps"])
    np.testing.assert_array_equal(of_made, X[support])
    assert len(np.unique(made["images"], axis=0)) == len(made["images"])


def test_the_svm_with_the_fewest_errors_is_chosen(digits: Mnist, tmp_path: Path) -> None:
    """Every fold of every candidate asked by hand, one after another."""
    n, n_folds = 150, 3
    pixels, y = digits[0][:n], digits[1][:n]
    train = Images(pixels, features(pixels, normalising(pixels)))
    grid: dict[str, Any] = {"gamma": [30, 1], "n_virtual_copies": [1, 0], "weight": [0, 1e-9, 50]}
    values = {"C": 10, "jitter": 0.1, "seed": 0, "n_nearest": 2, "max_displacement": 0} | grid
    splits = list(StratifiedKFold(n_folds).split(y, y))
    wrong, support = dict.fromkeys(product(*grid.values()), 0), {}
    for gamma, n_virtual_copies in product(grid["gamma"], grid["n_virtual_copies"]):
        alone = [
            fold[theirs(train.features[fold], y[fold], 10, gamma).support_] for _, fold in splits
        ]
        support[gamma] = np.concatenate(alone)
        for others, asked in splits:
            rows = support[gamma][np.isin(support[gamma], others)]
            copied = with_copies(train.at(rows), y[rows], n_virtual_copies, values)
            ranking = ranked(as_integers(fit(*copied, 10, gamma)), train.features[asked])
            opinion = second_opinion(ranking, train.at(asked), train.at(others), y[others], values)
            for weight in grid["weight"]:
                answers = apply_second_opinion(ranking, opinion, weight).first
                wrong[gamma, n_virtual_copies, weight] += int(np.sum(answers != y[asked]))
    errors, best = list(wrong.values()), min(wrong, key=wrong.__getitem__)
    # The first of several, and not the first of all.
    assert errors.count(min(errors)) > 1
    assert best[0] != grid["gamma"][0]
    save_set(tmp_path / "train", train.pixels, y)
    save(tmp_path / "train.npy", train.features)
    params = {"strokes": values, "cross_validate": {"n_folds": n_folds}}
    YAML().dump(params, tmp_path / "params.yaml")
    choose(tmp_path / "params.yaml", tmp_path / "train", tmp_path, tmp_path)
    found = [tuple(row) for row in zip(*load_group(tmp_path / "grid.npz").values(), strict=True)]
    assert found == [(*candidate, of, of / n) for candidate, of in wrong.items()]
    assert json.loads((tmp_path / "chosen.json").read_text()) == {
        **dict(zip(grid, best, strict=True)),
        "cross_validated_error": round(min(errors) / n, 10),
    }
    np.testing.assert_array_equal(np.load(tmp_path / "support.npy"), support[best[0]])
