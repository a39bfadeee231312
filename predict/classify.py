"""Which digit an image is, by the votes of the nearest training images, and how sure that is."""

import io
import json
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from stages.common.arrays import load
from stages.common.errors import UserError
from stages.neighbors.evaluate_neighbors import predictions
from stages.neighbors.search import nearest

# An answer is sure if, of the test images with such votes, at least so many got a right one, and
# if no more than a thousandth of them is as far from all training images.
SURE, FARTHEST = 0.9, 0.999


def variables(root: Path) -> dict[str, Any]:
    """The paths of the pipeline in a folder, by their names in ``dvc.yaml``."""
    paths: dict[str, Any] = YAML(typ="safe").load(root / "dvc.yaml")["vars"][0]
    return paths


class Made(NamedTuple):
    """The files that the classifier takes of what the pipeline makes."""

    images: Path
    labels: Path
    classes: Path
    grid: Path
    test_labels: Path
    test_neighbors: Path


def made(root: Path) -> Made:
    """Those of the pipeline in a folder."""
    of = variables(root)
    return Made(
        root / of["augmented"]["images"],
        root / of["augmented"]["labels"],
        root / of["classes"],
        root / of["metrics"] / "grid.json",
        root / of["test"]["labels"],
        root / of["nearest"] / "test_in_augmented.npz",
    )


class Classes(NamedTuple):
    """What one of the images is called, and the name of each label."""

    noun: str
    names: dict[int, str]


class Answer(NamedTuple):
    """What the classifier says of one image.

    ``label`` is the winner, ``votes`` how many of the voters say so, ``candidates`` all labels
    that they name, the likeliest first, and ``distance`` that to the nearest of them. ``accuracy``
    is the share of right answers among the test images with as many votes. ``verdict`` is ``sure``,
    ``unsure``, or ``unlike any`` image that the classifier was tested on.
    """

    label: int
    votes: int
    candidates: list[int]
    distance: float
    accuracy: float
    verdict: str
    neighbors: list[int]


def verdict(answer: Answer, classes: Classes) -> str:
    """Which digit it is: ``4``, ``unsure: 4 or 9``, ``unlike any digit, nearest to 4``."""
    if answer.verdict == "unsure":
        return f"unsure: {' or '.join(classes.names[label] for label in answer.candidates)}"
    unlike = f"unlike any {classes.noun}, nearest to " * (answer.verdict != "sure")
    return f"{unlike}{classes.names[answer.label]}"


def reasons(answer: Answer) -> str:
    """How sure that is: the votes, and the distance to the nearest training image."""
    return f"{answer.votes} of {len(answer.neighbors)} votes, distance {answer.distance:,.0f}"


class Classifier:
    """The grid's winner on the augmented training set, as the pipeline has evaluated it.

    Args:
        root: The pipeline's folder.

    Raises:
        UserError: What the pipeline makes is not there, damaged, or of two runs.
    """

    def __init__(self, root: Path) -> None:
        paths = made(root)
        for path in paths:
            if not path.exists():
                raise UserError(f"{path} is not there: make repro, or dvc pull")
        images, labels, classes, grid, test_labels, test_neighbors = paths
        try:
            self.images, self.labels, truth = load(images), load(labels), load(test_labels)
            called = json.loads(classes.read_text(encoding="utf-8"))
            best = json.loads(grid.read_text(encoding="utf-8"))["best"]
            # NumPy leaves a damaged file open that it has opened itself.
            with test_neighbors.open("rb") as file, np.load(file) as arrays:
                tested = dict(arrays)
        except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
            listed = ", ".join(map(str, paths))
            raise UserError(f"damaged, one of {listed}: make verify, then make repro") from error
        if len(self.images) != len(self.labels):
            raise UserError(f"{images} and {labels} are not of one run: make repro")
        self.classes = Classes(
            called["noun"], {int(label): name for label, name in called["names"].items()}
        )
        self.n_neighbors, self.weights = best["n_neighbors"], best["weights"]
        winners, votes = self._vote(tested)
        self.accuracies = [
            float(np.mean((winners == truth)[votes == n])) if (votes == n).any() else 0.0
            for n in range(self.n_neighbors + 1)
        ]
        self.farthest = float(np.quantile(np.sqrt(tested["squared_distances"][:, 0]), FARTHEST))

    def _vote(self, neighbors: dict[str, NDArray]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        winners = predictions(neighbors, self.labels, self.n_neighbors, self.weights)
        voters = self.labels[neighbors["indices"][:, : self.n_neighbors]]
        return winners, (voters == winners[:, None]).sum(axis=1)

    def predict(self, images: NDArray[np.uint8]) -> list[Answer]:
        """The answer for each image, (n, 28, 28)."""
        # It takes a second: no progress is to be shown.
        with redirect_stderr(io.StringIO()):
            indices, squared = nearest(images, self.images, self.n_neighbors)
        found = {"indices": indices, "squared_distances": squared}
        answers = []
        for row, (label, votes) in enumerate(zip(*self._vote(found), strict=True)):
            voters = self.labels[indices[row]]
            named, counts = np.unique(voters, return_counts=True)
            order = np.lexsort((named, -counts, named != label))
            distance = float(np.sqrt(squared[row, 0]))
            accuracy = self.accuracies[votes]
            verdict = "sure" if accuracy >= SURE else "unsure"
            answers.append(
                Answer(
                    label=int(label),
                    votes=int(votes),
                    candidates=[int(name) for name in named[order]],
                    distance=distance,
                    accuracy=accuracy,
                    verdict="unlike any" if distance > self.farthest else verdict,
                    neighbors=[int(index) for index in indices[row]],
                )
            )
        return answers
