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

from stages.common.arrays import save, save_set
from stages.data.sources import Mnist
from stages.models.saved import save_model
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
    class_distances,
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
            class_distances = abs(found - ndimage.sobel(expected, axis=axis, mode="nearest"))
            assert class_distances.max() <= tolerance
            assert class_distances.mean() < 4


def test_a_warp_moves_the_point_before_the_map() -> None:
    rng = np.random.default_rng(0)
    maps, warp = rng.normal(size=(2, 5, 2, 3))
    point = rng.normal(size=3)
    point[2] = 1
    for affine, move, both in zip(maps, warp, warped(maps, warp), strict=True):
        moved = point + np.append(move @ point, 0)
        np.testing.assert_allclose(both @ point, affine @ moved)


def test_the_parts_of_a_gradient_sum_to_it() -> None:
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, (1, SIDE, SIDE))
    gradient = np.rint(3000 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.int32)
    parts = directions(gradient)
    assert parts.min() >= 0
    assert ((parts > 0).sum(axis=1) <= 2).all()
    # Twice the area of two neighbours, 99 * 70, is shifted by 7 bits.
    weighted = parts * (2**7 / (99 * 70))
    for axis, unit in enumerate((X, Y)):
        total = (weighted * unit[:, None, None]).sum(axis=1)
        assert abs(total - gradient[:, axis]).max() < 4
    turned = angles / (np.pi / 4) % 8
    low = np.floor(turned).astype(int)
    for n in (low, (low + 1) % 8):
        far = np.abs((turned - n + 4) % 8 - 4)
        assert (np.take_along_axis(parts, n[:, None], axis=1)[:, 0][far < 0.9] > 0).all()


def test_a_cell_is_a_gaussian_sum() -> None:
    plane = np.random.default_rng(0).integers(0, 5000, (1, SIDE, SIDE), dtype=np.int32)
    cell = SIDE / CELLS
    for i in range(CELLS):
        for j in range(CELLS):
            at = [(k + 0.5) * cell - 0.5 for k in (i, j)]
            row, column = np.mgrid[:SIDE, :SIDE]
            squared = ((row - at[0]) ** 2 + (column - at[1]) ** 2) / (cell / 2) ** 2
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


@pytest.mark.parametrize("known", [[3, 5], [0, 4, 9], list(range(10))])
def test_the_answers_are_the_svcs(some: Images, digits: Mnist, known: list[int]) -> None:
    rows = np.flatnonzero(np.isin(digits[1][:1200], known))
    X, y, few = some.features[rows], digits[1][rows] * np.uint8(25), 10 * len(known)
    ranking = ranked(as_integers(fit(X[:few], y[:few], C=10, gamma=3)), X[few:])
    svc = theirs(X[:few], y[:few], C=10, gamma=3)
    answers = svc.predict(X[few:])
    pairs = svc.set_params(decision_function_shape="ovo").decision_function(X[few:])
    expected = expected_ranking(-pairs[:, None] if len(known) == 2 else pairs, svc.classes_)
    np.testing.assert_array_equal(ranking.first, expected.first)
    np.testing.assert_array_equal(ranking.second, expected.second)
    np.testing.assert_allclose(ranking.margin, expected.margin, atol=2e-3)
    # Ties are decided otherwise.
    assert np.mean(ranking.first == answers) > 0.97


@pytest.mark.skipif(not IS_X86, reason="for want of x86-64: elsewhere libsvm rounds otherwise")
@pytest.mark.parametrize("n", [2, 3])
def test_the_saved_svc_is_the_one_that_scikit_learn_fits(
    some: Images, digits: Mnist, tmp_path: Path, n: int
) -> None:
    """To the last byte of its file."""
    X, y = some.features[:300], digits[1][:300] % n
    save_model(tmp_path / "ours.skops", fit(X, y, 10, 3).to_sklearn())
    save_model(tmp_path / "theirs.skops", theirs(X, y, 10, 3))
    assert (tmp_path / "ours.skops").read_bytes() == (tmp_path / "theirs.skops").read_bytes()


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


@pytest.mark.parametrize("C", [0.1, 1000])
def test_what_an_svc_has_learned_is_kept_to_4096ths(some: Images, C: float) -> None:
    """Of labels without a meaning, whose coefficients are large."""
    X, y = some.features[:90], np.random.RandomState(0).randint(0, 3, 90)
    svc = fit(X, y, C, gamma=1e-3)
    assert abs(svc.dual_coef_).max() > min(C, 50) / 2
    learned = as_integers(svc)
    np.testing.assert_allclose(
        learned["coefficients"].T / COEFFICIENT, svc.dual_coef_, atol=0.5 / COEFFICIENT
    )
    intercepts = learned["intercepts"] / (KERNEL * COEFFICIENT)
    np.testing.assert_allclose(intercepts, svc.intercept_, atol=1 / KERNEL)


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


def test_the_distance_to_a_class_is_that_of_the_least_deformed(some: Images, digits: Mnist) -> None:
    y, n, moves = digits[1][:300], 4, 1
    train, asked, labels = some.at(np.arange(300)), some.at(np.arange(300, 310)), np.arange(10)
    found = class_distances(asked, labels, train, y, {"n_nearest": n, "max_displacement": moves})
    near = nearest(asked.features, labels, train.features, y, n)

    def gradient(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
        return gradients(pixels[None], normalising(pixels[None]))

    for distance, pixels, (rows, _) in zip(found, asked.pixels, near, strict=True):
        query = gradient(pixels)
        each = [deformed(query, gradient(train.pixels[row]), moves)[0] for row in rows]
        assert distance == min(each) < max(each)


def test_a_second_opinion_is_asked_within_the_margin(some: Images, digits: Mnist) -> None:
    y = digits[1][:1200]
    train, asked = some.at(np.arange(200, 1200)), some.at(np.arange(200))
    truth, wrong = y[:200], (y[:200] + 1) % 10
    sure = np.arange(200) % 2 == 0
    ranking = Ranking(wrong, truth, np.where(sure, 1.0, 0.5))
    opinion = second_opinion(
        ranking, asked, train, y[200:], {"n_nearest": 10, "max_displacement": 2}
    )
    assert (opinion[sure] == 0).all()
    assert np.mean(opinion[~sure] < 0) > 0.95
    assert abs(opinion).max() <= 1
    for ours, theirs in zip(apply_second_opinion(ranking, opinion, 0), ranking, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    said = apply_second_opinion(ranking, opinion, 1e6)
    assert (said.first[sure] == wrong[sure]).all()
    assert np.mean(said.first[~sure] == truth[~sure]) > 0.95
    assert (said.first + said.second == wrong + truth).all()
    np.testing.assert_allclose(said.margin, abs(ranking.margin + 1e6 * opinion))
    # Where it balances the margin, the two classes remain.
    said = apply_second_opinion(ranking, -ranking.margin / 2, 2)
    assert (said.first + said.second == wrong + truth).all()
    assert (said.margin == 0).all()


def test_copies_are_of_the_seed_and_teach(some: Images, digits: Mnist) -> None:
    y, values = digits[1][:1200], {"jitter": 0.12, "seed": 0}
    train, asked = some.at(np.arange(400)), some.at(np.arange(400, 1200))

    def copied(n_virtual_copies: int, **changed: float) -> tuple[NDArray[np.uint16], NDArray]:
        return with_copies(train, y[:400], n_virtual_copies, values | changed)

    def error(X: NDArray[np.uint16], labels: NDArray) -> float:
        ranking = ranked(as_integers(fit(X, labels, 10, 3)), asked.features)
        return float(np.mean(ranking.first != y[400:]))

    (X, labels), (other, _) = copied(2), copied(2, seed=1)
    np.testing.assert_array_equal(X, copied(2)[0])
    np.testing.assert_array_equal(labels, np.tile(y[:400], 3))
    np.testing.assert_array_equal(X[:400], train.features)
    assert not np.array_equal(X[400:], other[400:])
    # What the report makes them of.
    support = np.arange(0, 1200, 7)
    assert hashlib.sha256(X.tobytes()).hexdigest() == DIGEST
    made = drawn(support, train.pixels, virtual_maps(normalising(train.pixels), 2, values))
    of_made = features(made["images"][made["image"]], made["maps"])
    np.testing.assert_array_equal(of_made, X[support])
    assert len(np.unique(made["images"], axis=0)) == len(made["images"])
    # Copies that differ in nothing.
    np.testing.assert_array_equal(copied(1, jitter=0)[0], np.tile(train.features, (2, 1)))
    assert error(X, labels) <= error(*copied(0)) < 0.06


def test_the_machine_with_the_fewest_errors_is_chosen(digits: Mnist, tmp_path: Path) -> None:
    """Every fold of every candidate asked by hand, one after another."""
    n, n_folds = 150, 3
    pixels, y = digits[0][:n], digits[1][:n]
    train = Images(pixels, features(pixels, normalising(pixels)))
    values: dict[str, Any] = {"gamma": [30, 1], "n_virtual_copies": [1, 0], "weight": [0, 1e-9, 50]}
    candidates = list(product(*values.values()))
    values |= {"C": 10, "jitter": 0.1, "seed": 0, "n_nearest": 2, "max_displacement": 0}
    splits = list(StratifiedKFold(n_folds).split(y, y))
    wrong, support = dict.fromkeys(candidates, 0), {}
    for gamma in values["gamma"]:
        alone = [
            rows[theirs(train.features[rows], y[rows], 10, gamma).support_] for _, rows in splits
        ]
        support[gamma] = np.concatenate(alone)
        for n_virtual_copies, (fold, (others, asked)) in product(
            values["n_virtual_copies"], enumerate(splits)
        ):
            rows = np.concatenate(alone[:fold] + alone[fold + 1 :])
            copied = with_copies(train.at(rows), y[rows], n_virtual_copies, values)
            ranking = ranked(as_integers(fit(*copied, 10, gamma)), train.features[asked])
            opinion = second_opinion(ranking, train.at(asked), train.at(others), y[others], values)
            for weight in values["weight"]:
                answers = apply_second_opinion(ranking, opinion, weight).first
                wrong[gamma, n_virtual_copies, weight] += int(np.sum(answers != y[asked]))
    errors = list(wrong.values())
    best = min(wrong, key=wrong.__getitem__)
    # The first of several, and not the first of all.
    assert errors.count(min(errors)) > 1
    assert best[0] != candidates[0][0]
    save_set(tmp_path / "train", train.pixels, y)
    save(tmp_path / "train.npy", train.features)
    YAML().dump(
        {"strokes": values, "cross_validate": {"n_folds": n_folds}}, tmp_path / "params.yaml"
    )
    choose(tmp_path / "params.yaml", tmp_path / "train", tmp_path, tmp_path)
    found = [list(row) for row in zip(*np.load(tmp_path / "grid.npz").values(), strict=True)]
    assert [row[:4] for row in found] == [[*candidate, wrong[candidate]] for candidate in wrong]
    assert [row[4] for row in found] == [of / n for of in errors]
    assert json.loads((tmp_path / "chosen.json").read_text()) == {
        **dict(zip(("gamma", "n_virtual_copies", "weight"), best, strict=True)),
        "cross_validated_error": round(min(errors) / n, 10),
    }
    np.testing.assert_array_equal(np.load(tmp_path / "support.npy"), support[best[0]])
