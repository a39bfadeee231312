"""Which digits a picture shows, by the SVM on strokes, and how sure that is."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from predict.find import Digit, find_digits, mnist_form
from predict.recorded import check_of_one_run
from stages.common.arrays import load, load_group
from stages.common.errors import UserError
from stages.strokes import extract_features, svm
from stages.strokes.extract_features import features, normalising
from stages.strokes.svm import Images, apply_second_opinion, nearest, ranked, second_opinion

# An answer is sure if it is beyond the margin of the SVM, within which training images count as
# mistakes, and if no more than a thousandth of the test images is as far from those of its class.
SURE, FARTHEST = 1, 0.999
# Of each of the two likeliest classes, so many images are shown.
SHOWN = 2
# What a picture is looked at with, as the training images were.
CODE = (Path(extract_features.__file__), Path(svm.__file__))
# The files that are read of what the pipeline makes, by the names of folders in its dvc.yaml.
MADE = {
    "images": "{train}/images.npy",
    "labels": "{train}/labels.npy",
    "features": "{features}/train.npy",
    "classes": "{classes}",
    "svm": "{models}/digits/strokes/svm.npz",
    "predictions": "{models}/digits/strokes/predictions.npz",
    "test_labels": "{test}/labels.npy",
}


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

    def reasons(self) -> str:
        """How sure that is: by how much it won, and the distance to the nearest training image."""
        return f"by {self.margin:.2f}, distance {self.distance:,.0f}"


class Reading(NamedTuple):
    """The digits of a picture, as the classifier saw them, (n, 28, 28), and its answers."""

    digits: list[Digit]
    forms: NDArray[np.uint8]
    answers: list[Answer]


def made(root: Path) -> dict[str, Path]:
    """The files of :data:`MADE` of the pipeline in a folder."""
    folders = YAML(typ="safe").load(root / "dvc.yaml")["vars"][0]
    return {name: root / path.format(**folders) for name, path in MADE.items()}


class Classifier:
    """The SVM on strokes with its second opinion, as the pipeline has evaluated it.

    Args:
        root: The pipeline's folder.

    Raises:
        UserError: What the pipeline makes is not there, or not as of the run of ``dvc.lock``.
    """

    def __init__(self, root: Path) -> None:
        check_of_one_run(root, "train_svm", CODE)
        self.paths = made(root)
        for path in self.paths.values():
            if not path.exists():
                raise UserError(f"{path} is not there: make repro, or dvc pull")
        self.images, self.labels = load(self.paths["images"]), load(self.paths["labels"])
        self.train = Images(self.images, load(self.paths["features"]))
        self.svm, tested = load_group(self.paths["svm"]), load_group(self.paths["predictions"])
        classes = json.loads(self.paths["classes"].read_text(encoding="utf-8"))
        self.noun: str = classes["noun"]
        self.names: dict[int, str] = {int(label): name for label, name in classes["names"].items()}
        self.margins = tested["margin"]
        self.right = tested["predictions"] == load(self.paths["test_labels"])
        self.farthest = float(np.quantile(np.sqrt(tested["squared_distances"]), FARTHEST))

    def accuracy(self, margin: float) -> float:
        """The share of right answers among the test images that were won by no more; 0 of none."""
        as_little = self.margins <= margin
        return float(self.right[as_little].mean()) if as_little.any() else 0.0

    def predict(self, images: NDArray[np.uint8]) -> list[Answer]:
        """The answer for each image, (n, 28, 28)."""
        queries = Images(images, features(images, normalising(images)))
        ranking = ranked(self.svm, queries.features)
        opinion = second_opinion(ranking, queries, self.train, self.labels, self.svm)
        said = apply_second_opinion(ranking, opinion, float(self.svm["weight"]))
        of_both = [
            nearest(queries.features, labels, self.train.features, self.labels, SHOWN)
            for labels in (said.first, said.second)
        ]
        answers = []
        for label, other, margin, (rows, squared), (other_rows, _) in zip(
            *said, *of_both, strict=True
        ):
            distance = float(np.sqrt(squared[0]))
            verdict = "sure" if margin >= SURE else "unsure"
            answers.append(
                Answer(
                    label=int(label),
                    candidates=[int(label), int(other)],
                    margin=float(margin),
                    distance=distance,
                    accuracy=self.accuracy(margin),
                    verdict="unlike any" if distance > self.farthest else verdict,
                    neighbors=[int(row) for row in (*rows, *other_rows)],
                )
            )
        return answers

    def read(self, picture: NDArray[np.uint8]) -> Reading:
        """The digits of a picture (height, width, 3), and what they are; a part is never sure.

        Raises:
            UserError: There is none, or more than 60.
        """
        digits = find_digits(picture)
        forms = np.stack([mnist_form(digit.ink) for digit in digits])
        answers = [
            answer._replace(verdict="unsure")
            if digit.is_part and answer.verdict == "sure"
            else answer
            for digit, answer in zip(digits, self.predict(forms), strict=True)
        ]
        return Reading(digits, forms, answers)

    def describe(self, answer: Answer) -> str:
        """Which digit it is: ``4``, ``unsure: 4 or 9``, ``unlike any digit, nearest to 4``."""
        if answer.verdict == "unsure":
            return f"unsure: {' or '.join(self.names[label] for label in answer.candidates)}"
        unlike = f"unlike any {self.noun}, nearest to " if answer.verdict != "sure" else ""
        return f"{unlike}{self.names[answer.label]}"
