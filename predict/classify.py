"""Which digit an image is, by the SVM on strokes, and how sure that is."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from predict.recorded import check_of_one_run, read_pipeline
from stages.common.arrays import load, load_group
from stages.common.errors import UserError
from stages.strokes import extract_features, svm
from stages.strokes.extract_features import features, normalising
from stages.strokes.svm import Images, apply_second_opinion, nearest, ranked, second_opinion

# An answer is sure if, of the test images that were won by no more than it, at least so many got a
# right one, and if no more than a thousandth of all is as far from the images of its class.
SURE, FARTHEST = 0.9, 0.999
# Of each of the two likeliest classes, so many images are shown.
SHOWN = 2
# What a picture is looked at with, as the training images were.
CODE = (Path(extract_features.__file__), Path(svm.__file__))


def variables(root: Path) -> dict[str, Any]:
    """The paths of the pipeline in a folder, by their names in ``dvc.yaml``."""
    paths: dict[str, Any] = read_pipeline(root)["vars"][0]
    return paths


class Made(NamedTuple):
    """The files that the classifier takes of what the pipeline makes."""

    images: Path
    labels: Path
    features: Path
    classes: Path
    svm: Path
    predictions: Path
    test_labels: Path


def made(root: Path) -> Made:
    """Those of the pipeline in a folder.

    Raises:
        UserError: There is no such pipeline.
    """
    try:
        of = {name: root / path for name, path in variables(root).items() if type(path) is str}
        strokes = of["models"] / "digits" / "strokes"
        return Made(
            of["train"] / "images.npy",
            of["train"] / "labels.npy",
            of["features"] / "train.npy",
            of["classes"],
            strokes / "svm.npz",
            strokes / "predictions.npz",
            of["test"] / "labels.npy",
        )
    except (IndexError, KeyError, TypeError) as error:
        raise UserError(
            f"{root / 'dvc.yaml'} is of another pipeline: name this by --root"
        ) from error


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
    """The SVM on strokes with its second opinion, as the pipeline has evaluated it.

    Args:
        root: The pipeline's folder.

    Raises:
        UserError: What the pipeline makes is not there, or not as of the run of ``dvc.lock``.
    """

    def __init__(self, root: Path) -> None:
        paths = made(root)
        check_of_one_run(root, paths, CODE)
        self.images, self.labels = load(paths.images), load(paths.labels)
        self.train = Images(self.images, load(paths.features))
        self.svm, tested = load_group(paths.svm), load_group(paths.predictions)
        called = json.loads(paths.classes.read_text(encoding="utf-8"))
        self.classes = Classes(
            called["noun"], {int(label): name for label, name in called["names"].items()}
        )
        self.margins = tested["margin"]
        self.right = tested["predictions"] == load(paths.test_labels)
        self.farthest = float(np.quantile(np.sqrt(tested["squared_distances"]), FARTHEST))

    def accuracy(self, margin: float) -> float:
        """The share of right answers among the test images that were won by no more; 0 of none."""
        as_little = self.margins <= margin
        return float(self.right[as_little].mean()) if as_little.any() else 0.0

    def predict(self, images: NDArray[np.uint8]) -> list[Answer]:
        """The answer for each image, (n, 28, 28)."""
        asked = Images(images, features(images, normalising(images)))
        ranking = ranked(self.svm, asked.features)
        opinion = second_opinion(ranking, asked, self.train, self.labels, self.svm)
        said = apply_second_opinion(ranking, opinion, float(self.svm["weight"]))
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
