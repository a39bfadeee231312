"""Which digits a picture shows, by the SVM on strokes, and how sure that is."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from dvc.exceptions import DvcException
from dvc.repo import Repo
from numpy.typing import NDArray
from ruamel.yaml import YAML

from predict.find import Digit, mnist_form
from stages.common.arrays import load, load_group, load_set
from stages.common.errors import UserError
from stages.strokes.extract_features import features, normalising
from stages.strokes.svm import Images, apply_second_opinion, nearest, ranked, second_opinion

# An answer is sure if it is beyond the margin of the SVM, within which training images count as
# mistakes, and if no more than a thousandth of the test images is as far from those of its class.
SURE, FARTHEST = 1, 0.999
# Of each of the two likeliest classes, so many images are shown.
SHOWN = 2
AGAIN = "dvc repro train_svm, or make verify"


class Answer(NamedTuple):
    """What the classifier says of one image.

    ``label`` is the answer, ``candidates`` are the two likeliest labels, the answer first, and
    ``margin`` is by how much it won. ``distance`` is that of the features to the nearest training
    image of its class. ``verdict`` is ``sure``, ``unsure``, or ``unlike any`` image that the
    classifier was tested on. ``neighbors`` are the rows of the nearest training images of both
    candidates, the answer's first.
    """

    label: int
    candidates: list[int]
    margin: float
    distance: float
    verdict: str
    neighbors: list[int]

    def reasons(self) -> str:
        """How sure that is: by how much it won, and the distance to the nearest training image."""
        return f"by {self.margin:.2f}, distance {self.distance:,.0f}"


def check_status(root: Path) -> None:
    """Hold what ``train_svm`` and the stages behind it read and make to ``dvc.lock``.

    As ``dvc status`` does; but what is not there, such as the images as they were downloaded, or
    DVC's own copies, is no difference.

    Raises:
        UserError: Something is another than it was in the run that is recorded; or DVC cannot read
            the pipeline.
    """
    try:
        with Repo(str(root)) as repo:
            for stage in repo.stage.collect(f"{root / 'dvc.yaml'}:train_svm", with_deps=True):
                changed = {f"the command of {stage.name}": "edited"} if stage.cmd_changed else {}
                for entry in (*stage.deps, *stage.outs):
                    changed |= entry.workspace_status()
                for name, state in changed.items():
                    if state != "deleted":
                        raise UserError(f"{name} is not what dvc.lock records: {AGAIN}")
    except DvcException as error:
        line = str(error).splitlines()[0]
        raise UserError(f"the pipeline in {root.resolve()}: {line}") from error


class Classifier:
    """The SVM on strokes with its second opinion, as the pipeline has evaluated it.

    Args:
        root: The pipeline's folder.

    Raises:
        UserError: What the pipeline makes is not there, or not as of the run of ``dvc.lock``.
    """

    def __init__(self, root: Path) -> None:
        check_status(root)
        paths = YAML(typ="safe").load(root / "dvc.yaml")["vars"][0]
        names = "train", "features", "models", "classes", "test"
        train, of_strokes, models, classes, self.test = (root / paths[name] for name in names)
        strokes = models / "digits" / "strokes"
        try:
            self.images, self.labels = load_set(train)
            self.train = Images(self.images, load(of_strokes / "train.npy"))
            self.svm = load_group(strokes / "svm.npz")
            squared = load_group(strokes / "predictions.npz")["squared_distances"]
            named = json.loads(classes.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UserError(f"{error.filename} is not there: make repro, or dvc pull") from error
        self.farthest = float(np.quantile(np.sqrt(squared), FARTHEST))
        self.noun: str = named["noun"]
        self.names: dict[int, str] = {int(label): name for label, name in named["names"].items()}

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
                    verdict="unlike any" if distance > self.farthest else verdict,
                    neighbors=[int(row) for row in (*rows, *other_rows)],
                )
            )
        return answers

    def read(self, digits: list[Digit]) -> list[Answer]:
        """What each of the digits is; a part of one is never sure."""
        answers = self.predict(np.stack([mnist_form(digit.ink) for digit in digits]))
        return [
            answer._replace(verdict="unsure")
            if digit.is_part and answer.verdict == "sure"
            else answer
            for digit, answer in zip(digits, answers, strict=True)
        ]

    def describe(self, answer: Answer) -> str:
        """Which digit it is: ``4``, ``unsure: 4 or 9``, ``unlike any digit, nearest to 4``."""
        if answer.verdict == "unsure":
            return f"unsure: {' or '.join(self.names[label] for label in answer.candidates)}"
        unlike = f"unlike any {self.noun}, nearest to " if answer.verdict != "sure" else ""
        return f"{unlike}{self.names[answer.label]}"
