"""Which digit an image is, by the machine of strokes, and how sure that is."""

import json
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from stages.common.arrays import load
from stages.common.errors import UserError
from stages.strokes.extract_features import features, normalising
from stages.strokes.machine import Images, decided, nearest, ranked, second_opinion

# An answer is sure if, of the test images that were won by no more than it, at least so many got a
# right one, and if no more than a thousandth of all is as far from the images of its class.
SURE, FARTHEST = 0.9, 0.999
# Of each of the two likeliest classes, so many images are shown.
SHOWN = 2


def variables(root: Path) -> dict[str, Any]:
    """The paths of the pipeline in a folder, by their names in ``dvc.yaml``."""
    paths: dict[str, Any] = YAML(typ="safe").load(root / "dvc.yaml")["vars"][0]
    return paths


class Made(NamedTuple):
    """The files that the classifier takes of what the pipeline makes."""

    images: Path
    labels: Path
    features: Path
    classes: Path
    machine: Path
    predictions: Path
    test_labels: Path


def made(root: Path) -> Made:
    """Those of the pipeline in a folder."""
    of = variables(root)
    return Made(
        root / of["train"]["images"],
        root / of["train"]["labels"],
        root / of["strokes"]["train"],
        root / of["classes"],
        root / of["strokes"]["machine"] / "machine.npz",
        root / of["strokes"]["machine"] / "predictions.npz",
        root / of["test"]["labels"],
    )


class Classes(NamedTuple):
    """What one of the images is called, and the name of each label."""

    noun: str
    names: dict[int, str]


class Answer(NamedTuple):
    """What the classifier says of one image.

    ``label`` is the answer, ``candidates`` are the two likeliest labels, the answer first, and
    ``margin`` is by how much it won. ``distance`` is that of the features to the nearest training
    image of its class. ``accuracy`` is the share of right answers among the test images that were
    won by no more. ``verdict`` is ``sure``, ``unsure``, or ``unlike any`` image that the
    classifier was tested on. ``neighbors`` are the rows of the nearest training images of both
    candidates, the answer's first.
    """

    label: int
    candidates: list[int]
    margin: float
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
    """How sure that is: by how much it won, and the distance to the nearest training image."""
    return f"by {answer.margin:.2f}, distance {answer.distance:,.0f}"


class Classifier:
    """The machine of strokes with its second opinion, as the pipeline has evaluated it.

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
        images, labels, of_strokes, classes, machine, predictions, test_labels = paths
        try:
            self.images, self.labels, truth = load(images), load(labels), load(test_labels)
            self.train = Images(self.images, load(of_strokes))
            called = json.loads(classes.read_text(encoding="utf-8"))
            self.machine, tested = _arrays(machine), _arrays(predictions)
            right = tested["predictions"] == truth
        except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
            listed = ", ".join(map(str, paths))
            raise UserError(f"damaged, one of {listed}: make verify, then make repro") from error
        if not len(self.images) == len(self.labels) == len(self.train.features):
            raise UserError(f"{images}, {labels} and {of_strokes} are not of one run: make repro")
        self.classes = Classes(
            called["noun"], {int(label): name for label, name in called["names"].items()}
        )
        self.margins, self.right = tested["margin"], right
        self.farthest = float(np.quantile(np.sqrt(tested["squared_distances"]), FARTHEST))

    def accuracy(self, margin: float) -> float:
        """The share of right answers among the test images that were won by no more; 0 of none."""
        as_little = self.margins <= margin
        return float(self.right[as_little].mean()) if as_little.any() else 0.0

    def predict(self, images: NDArray[np.uint8]) -> list[Answer]:
        """The answer for each image, (n, 28, 28)."""
        asked = Images(images, features(images, normalising(images)))
        ranking = ranked(self.machine, asked.features)
        opinion = second_opinion(ranking, asked, self.train, self.labels, self.machine)
        said = decided(ranking, opinion, float(self.machine["weight"]))
        of_both = [
            nearest(asked.features, labels, self.train.features, self.labels, SHOWN)
            for labels in (said.first, said.second)
        ]
        answers = []
        for label, other, margin, (rows, squared), (other_rows, _) in zip(
            *said, *of_both, strict=True
        ):
            distance, accuracy = float(np.sqrt(squared[0])), self.accuracy(margin)
            verdict = "sure" if accuracy >= SURE else "unsure"
            answers.append(
                Answer(
                    label=int(label),
                    candidates=[int(label), int(other)],
                    margin=float(margin),
                    distance=distance,
                    accuracy=accuracy,
                    verdict="unlike any" if distance > self.farthest else verdict,
                    neighbors=[int(row) for row in (*rows, *other_rows)],
                )
            )
        return answers


def _arrays(path: Path) -> dict[str, NDArray]:
    # NumPy leaves a damaged file open that it has opened itself.
    with path.open("rb") as file, np.load(file) as arrays:
        return dict(arrays)
