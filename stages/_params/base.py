"""Reading ``params.yaml``: a value is checked against its schema before it is used."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from typing_extensions import TypeForm

from stages._errors import UserError

T = TypeVar("T")


class Section(BaseModel):
    """A part of ``params.yaml``: frozen, every key known, every type exact."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def _no_repeats(values: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(values)) < len(values):
        raise ValueError("every value should be listed once")
    return values


Digit = Annotated[int, Field(strict=True, ge=0, le=9)]
Folds = Annotated[int, Field(strict=True, ge=2, le=100)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Score = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# The seeds that numpy.random.RandomState takes.
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
# YAML has lists; only the container may be converted, its values stay strict.
Values = Annotated[tuple[T, ...], Strict(False), Field(min_length=1)]
Several = Annotated[Values[T], AfterValidator(_no_repeats)]

# What this process was told: the value of each file and key.
_values_read: dict[tuple[Path, str], Any] = {}


def read(path: Path, key: str, kind: TypeForm[T]) -> T:
    """One value of a parameters file.

    Args:
        path: The YAML file, read as DVC reads it (YAML 1.2).
        key: The dotted key, such as ``binary.thresholds.precision``; the whole file if empty.
        kind: The schema: a :class:`Section` or an annotated type.

    Returns:
        The value as ``kind``.

    Raises:
        UserError: The file is not YAML, or the value is missing, unknown, of another type or
            out of range: one line that names the key, the value and what is allowed.
    """
    value = _values_read[path.resolve(), key] = _value(path, key)
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise UserError(f"{path}: {_line(key, error.errors()[0])}") from None


def is_as_read(path: Path) -> bool:
    """Whether values of ``path`` were read, and are all the same still."""
    values = {key: value for (of, key), value in _values_read.items() if of == path.resolve()}
    return bool(values) and all(_value(path, key) == value for key, value in values.items())


def _value(path: Path, key: str) -> Any:
    try:
        value = YAML(typ="safe").load(path)
    except MarkedYAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    parts = key.split(".") if key else []
    for depth, part in enumerate(parts, start=1):
        if not isinstance(value, dict) or part not in value:
            raise UserError(f"{path}: {'.'.join(parts[:depth])} is missing")
        value = value[part]
    return value


def _line(key: str, error: Any) -> str:
    name = ".".join([*filter(None, [key]), *map(str, error["loc"])])
    if error["type"] == "missing":
        return f"{name} is missing"
    if error["type"] == "extra_forbidden":
        return f"{name} is not a known key"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not name and isinstance(error["input"], dict):
        return str(message)
    return f"{name or 'the file'} is {error['input']!r}, but {message}"
