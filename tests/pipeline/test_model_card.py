"""The model card: its figures, its code, and the files that it is of."""

import hashlib
import re
import sys
from typing import Any

import numpy as np
import pytest
from dvc.repo import Repo
from numpy.typing import NDArray

from stages.common.arrays import load, load_group
from tests.support import ROOT
from tests.support.clone import Clone

OF_PIXELS = ("digits/sgd", "digits/svc", "digits/ovr_svc", "binary/sgd", "binary/forest")
STROKES = "digits/strokes"


@pytest.fixture(scope="module")
def card(clone: Clone) -> str:
    return (clone.folder / "reports" / "model_card.md").read_text(encoding="utf-8")


def said(clone: Clone, model: str, answers: str = "predictions") -> NDArray[Any]:
    return load_group(clone.folder / "data" / "models" / model / "predictions.npz")[answers]


def test_every_figure_is_what_the_models_said(clone: Clone, card: str) -> None:
    y = load(clone.folder / "data" / "test" / "labels.npy")
    right = {
        name: np.mean(said(clone, name) == (y == 5 if "binary" in name else y))
        for name in OF_PIXELS
    }
    right[STROKES] = np.mean(said(clone, STROKES, "alone") == y)
    shown = dict(re.findall(r"^\| `(.+?)` .+ \| (\S+) \|$", card, re.M))
    assert shown == {name: f"{share:.4f}" for name, share in right.items()}
    assert f"gets {np.mean(said(clone, STROKES) == y):.4f} with its second opinion" in card
    assert "Of 5,000 images, 4,000 trained the models. The accuracy is of the other 1,000." in card
    assert "The data are a sample of MNIST, and **not the full data set**" in card
    assert "LeCun" in card


def test_nothing_is_left_of_its_template(card: str) -> None:
    rest = re.findall(r"\{\{|\{%|\}\}|%\}|\{#|Undefined|None|\bnone\b|\bnan\b|\n\n\n", card)
    assert rest == []
    links = re.findall(r"\]\(([^)]+)\)", card)
    assert [link for link in links if not (ROOT / "reports" / link).exists()] == []


def test_every_artifact_is_in_the_card_and_made(clone: Clone, card: str) -> None:
    with Repo(str(clone.folder)) as repo:
        artifacts = repo.artifacts.read()["dvc.yaml"].values()
    paths = {artifact.path for artifact in artifacts if artifact.type == "model"}
    digests = {
        path: hashlib.sha256((clone.folder / path).read_bytes()).hexdigest() for path in paths
    }
    shown = re.findall(r"^(\w{64})  (\S+)$", card, re.M)
    assert {path: digest for digest, path in shown} == digests
    # Whatever is saved is offered.
    assert paths == {path for path in clone.outs() if path.endswith(".skops")}


def test_the_code_of_the_card_gives_the_same_answers(
    clone: Clone, card: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every test image; models of pixels need nothing of this repository."""
    models = clone.folder / "data" / "models"
    images = load(clone.folder / "data" / "test" / "images.npy")
    code, of_strokes = re.findall(r"```python\n(.+?)```", card, re.S)
    loaded: dict[str, Any] = sys.modules
    with monkeypatch.context() as stranger:
        for name in [name for name in loaded if name.split(".")[0] in {"stages", "dvc"}]:
            # To import it is an error.
            stranger.setitem(loaded, name, None)
        for name in OF_PIXELS:
            stranger.chdir(models / name)
            names: dict[str, Any] = {"images": images}
            exec(code, names)
            np.testing.assert_array_equal(names["answers"], said(clone, name))
    monkeypatch.chdir(models / STROKES)
    names = {"images": images}
    exec(code.rpartition("answers")[0] + of_strokes, names)
    # The pipeline rounds its numbers to integers.
    assert np.mean(names["answers"] == said(clone, STROKES, "alone")) > 0.995
